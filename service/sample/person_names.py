"""Names, streets and towns for invented persons. Earlier ones are commoner."""

from __future__ import annotations

_WOMEN = """
mary jennifer linda elizabeth susan jessica sarah karen lisa nancy margaret sandra ashley emily donna michelle carol
amanda melissa deborah stephanie rebecca sharon laura cynthia dorothy amy kathleen angela shirley emma brenda pamela
nicole anna samantha katherine christine debra rachel carolyn janet maria olivia heather helen catherine diane julie
victoria joyce lauren kelly christina ruth joan virginia judith evelyn hannah andrea megan cheryl jacqueline madison
teresa abigail sophia martha sara gloria janice kathryn ann isabella judy charlotte julia grace amber alice jean
denise frances danielle marilyn natalie beverly diana brittany theresa kayla alexis doris lori tiffany fatima aisha
yuki mei ingrid astrid chiara giulia ines lucia zofia agnieszka leila noor priya ananya nadia olga svetlana beatrix
rosalind wilhelmina philippa gwendolyn harriet matilda henrietta cordelia imogen tamsin
"""
_MEN = """
james michael robert john david william richard joseph thomas christopher charles daniel matthew anthony mark steven
andrew paul joshua kenneth kevin brian timothy ronald george jason edward jeffrey ryan jacob nicholas gary eric
jonathan stephen larry justin scott brandon benjamin samuel gregory alexander patrick frank raymond jack dennis jerry
tyler aaron jose adam nathan henry zachary douglas peter kyle noah ethan jeremy christian walter keith austin roger
terry sean gerald carl dylan harold jordan jesse bryan lawrence arthur gabriel bruce logan billy joe alan juan elijah
willie albert wayne randy mason vincent liam roy bobby caleb bradley russell lucas mohammed ahmed omar wei hiroshi
lars bjorn giovanni marco luis carlos piotr tomasz arjun rahul ivan dmitri oliver theodore leopold bartholomew
wolfgang reginald crispin
"""
_FAMILIES = """
smith jones williams brown taylor davies wilson evans thomas johnson roberts walker wright robinson thompson white
hughes edwards green hall wood harris lewis martin jackson clarke clark turner hill scott cooper morris ward moore
king watson baker harrison morgan patel young allen mitchell james anderson phillips lee bell parker davis bennett
miller cook shaw cox richardson marshall collins carter bailey gray price simpson wilkinson adams foster khan ellis
murphy chapman mason gibson stevens hunt palmer holmes mills ali rogers singh nguyen tran garcia rossi muller schmidt
fischer weber kowalski novak ivanov petrov larsen hansen nielsen tanaka sato kim park chen wang li zhang silva santos
costa fernandez lopez
"""
_STREETS = """
high church station park victoria green mill queen king school albert north south west george elm oak cedar maple
railway london york windsor grange chapel market bridge garden river lake forest hill valley meadow spring orchard
wattle banksia acacia jacaranda melville hawthorn primrose bluebell rosewood kingfisher heron falcon
"""
STREET_TYPES = ("street", "street", "street", "road", "road", "avenue", "place", "court", "drive", "crescent", "lane")
SHORT_TYPES = {"street": "st", "road": "rd", "avenue": "ave", "place": "pl", "court": "ct", "drive": "dr", "lane": "ln"}
MAIL_DOMAINS = (
    "gmail.com",
    "gmail.com",
    "outlook.com",
    "yahoo.com",
    "icloud.com",
    "posteo.net",
    "bigpond.com",
    "web.de",
)
_SYLLABLES = """
ba bel bor cal car dan del dor el fen fer gal gan har hol ing jan kar kel lan lor mal mar mor nel nor os pel pen ra
ren ros sal sen tal tor ul van ver wal wen yor zim
"""

WOMEN, MEN, FAMILIES, STREETS, SYLLABLES = (text.split() for text in (_WOMEN, _MEN, _FAMILIES, _STREETS, _SYLLABLES))
