"""Short forms of given names, each with the name it stands for. A short form of several names has the commonest."""

from __future__ import annotations

_GROUPS = """
abigail abby abbie gail
abraham abe bram
adelaide addie
adrian ade
albert al bert bertie
alexander alex alec sandy xander sasha aleksander alexandr
alexandra sandra lexi alexa
alfred alf alfie fred
alison ali allie
amanda mandy
andrew andy drew andreas
angela angie
ann annie nan anne anna
anthony tony anton toni
antoinette nettie
archibald archie
arthur art artie
barbara barb babs barbie
beatrice bea trixie
benjamin ben benny benji
bernard bernie
bradley brad
bridget biddy bridie
calvin cal
cameron cam
caroline carrie caro
catherine cathy cath kitty cate
charles charlie chuck chas charley
charlotte lottie
christina chrissy tina
christine chris
christopher kit topher christoph
clifford cliff
constance connie
cornelius neil
cynthia cindy
daniel dan danny
david dave davey
deborah deb debbie
dennis denny
dominic dom nick
donald don donny
dorothy dot dottie dolly
douglas doug
edmund
edward ed eddie ted teddy ned
edwin
eleanor ellie nell nora
elizabeth liz lizzie beth betty eliza libby lisa bess elisabeth liza betsy elsie
emily em emmie
emma
ernest ernie
eugene gene
evelyn evie
florence flo flossie
frances fran francie
francis frank frankie
franklin
frederick freddie freddy
gabriel gabe
gabrielle gabby
geoffrey geoff
george georgie
gerald gerry
gertrude gertie trudy
gilbert gil
gregory greg
gwendolyn gwen
harold hal
harriet hattie
helen nellie lena
henry harry hank heinrich
herbert herb
howard howie
isabella bella izzy isabel
jacob jake
jacqueline jackie
james jim jimmy jamie jem
janet jan
jeffrey jeff
jennifer jen jenny jenn
jeremy jerry
jessica jess jessie
joan joanie
joanna jo joanne
john johnny jack
jonathan jon jonny
joseph joe joey jos josef
josephine josie
joshua josh
judith judy
julia jules julie
katherine kate kathy kat katie kathryn kath katharine kathleen kay
kenneth ken kenny
kimberly kim
kristina kristen
lawrence larry laurie
leonard len lenny leo
leonora
leslie les
lewis lew louis lou louie
lillian lily lil
linda lindy
louise
lucy lulu
madeleine maddie
magdalena magda
malcolm mal
margaret maggie meg peggy marge margie greta rita daisy margarete
maria marie mia
martha marty patty
martin
mary molly polly mae
matilda tilly
matthew matt matty
maurice morrie
maxwell max
maximilian
melanie mel
melissa missy
michael mike mick mickey micky mikey mischa
mildred millie
mitchell mitch
nancy nance
natalie nat
nathaniel nate nathan
nicholas nicky nico nicolas nikolaus
nicole nikki
norman norm
oliver ollie
pamela pam
patricia pat trish patsy tricia
patrick paddy
pauline paula
penelope penny
peter pete petra
philip phil phillip
philippa pippa pip
priscilla cilla
rachel rach
randall randy
raymond ray
rebecca becky becca
reginald reg reggie
richard rick dick ricky rich richie
robert bob rob bobby robbie bert
roberta bobbie
roderick rod roddy
rodney
roger rodge
ronald ron ronnie
rosalind roz
rosemary rosie rose
russell russ
samantha
samuel sam sammy
sarah sally sadie sara
sebastian seb bastian
simon si
solomon sol
sophia sophie
stanley stan
stephanie steph stefanie
stephen steve stevie steven stefan
stuart stu stewart
susan sue susie suzy suzanne susanna
sylvia syl
terence terry
theodora dora thea
theodore theo
theresa terri tess tessa
thomas tom tommy
timothy tim timmy
tobias toby
valerie val
veronica ronni
victor vic
victoria vicky tori vicki
vincent vince vinny
virginia ginny
walter walt wally
wilhelmina mina minnie
william bill will billy liam willy wilhelm
winifred winnie
zachary zach zack
"""

ROOTS: dict[str, str] = {}
for _group in _GROUPS.split("\n"):
    for _name in _group.split():
        ROOTS.setdefault(_name, _group.split()[0])
