// Makes tests/data/signals.json; see README.md.
import { GVL, PurposeRestriction, RestrictionType, TCModel, TCString, Segment } from '@iabtcf/core';
import { GppModel } from '@iabgpp/cmpapi';

let state = 20261124;
const random = () => { // mulberry32
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
const below = (n) => Math.floor(random() * n);
const some = (n, share) => Array.from({ length: n }, (_, i) => i + 1).filter(() => random() < share);
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

const VENDORS = 900;
const purpose = (id) => [id, { id, name: `p${id}`, description: '', illustrations: [] }];
const purposes = Object.fromEntries(Array.from({ length: 11 }, (_, i) => purpose(i + 1)));
const vendor = (id) => [id, {
  id, name: `v${id}`, purposes: [1, 2, 3, 4, 7], legIntPurposes: [8, 9, 10], flexiblePurposes: [2, 7, 8, 9, 10],
  specialPurposes: [], features: [], specialFeatures: [], policyUrl: '', cookieMaxAgeSeconds: null, usesCookies: true, urls: [],
}];
const gvl = () => new GVL({
  gvlSpecificationVersion: 3, vendorListVersion: 48, tcfPolicyVersion: 5, lastUpdated: '2026-10-01T16:00:00Z',
  purposes, specialPurposes: {}, features: {}, specialFeatures: { 1: purpose(1)[1], 2: purpose(2)[1] }, stacks: {}, dataCategories: {},
  vendors: Object.fromEntries(Array.from({ length: VENDORS }, (_, i) => vendor(i + 1))),
});

// Vendors in runs, so that both encodings (bits and ranges) are met and the file stays small.
const blocks = (share) => { const found = []; for (let i = 1; i < VENDORS; i += 30) if (random() < share) for (let j = i; j < i + 30 && j <= VENDORS; j++) found.push(j); return found; };

function tcModel(n) {
  const model = new TCModel(gvl());
  model.cmpId = 2 + below(400);
  model.cmpVersion = 1 + below(50);
  model.consentScreen = below(5);
  model.consentLanguage = ['EN', 'DE', 'FR'][below(3)];
  model.publisherCountryCode = ['DE', 'FR', 'IE'][below(3)];
  model.isServiceSpecific = true;
  const share = [0, 0.05, 0.5, 0.95, 1][n % 5];
  model.purposeConsents.set(some(11, Math.max(share, 0.5)));
  model.purposeLegitimateInterests.set([2, 7, 8, 9, 10, 11].filter(() => random() < 0.7));
  model.specialFeatureOptins.set(some(2, 0.5));
  model.vendorConsents.set(blocks(share));
  model.vendorLegitimateInterests.set(blocks(share / 2));
  model.vendorsDisclosed.set([...some(40, 0.5), ...blocks(0.9)]);
  if (random() < 0.5) [755].concat(n % 2 ? [] : some(5, 0.5)).forEach((id) => { model.vendorConsents.set(id); model.vendorsDisclosed.set(id); });
  for (let i = 0; i < n % 4; i++) {
    const restriction = new PurposeRestriction(2 + below(10), [RestrictionType.NOT_ALLOWED, RestrictionType.REQUIRE_CONSENT, RestrictionType.REQUIRE_LI][below(3)]);
    const whom = [755, 1 + below(VENDORS), 1 + below(VENDORS)];
    whom.forEach((id) => model.publisherRestrictions.add(id, restriction));
  }
  if (n % 3 === 0) { model.publisherConsents.set(some(11, 0.5)); model.numCustomPurposes = n % 2 ? 3 : 0; if (n % 2) model.publisherCustomConsents.set(2); }
  const at = new Date(Date.UTC(2026, 8 + below(2), 1 + below(28)));
  model.created = at; model.lastUpdated = at; // whole days, as 2.2 wants them
  return model;
}
const listed = (vector) => { const found = []; vector.forEach((is, id) => { if (is) found.push(id); }); return found; };
const runs = (ids) => ids.reduce((found, id) => { const last = found.at(-1); if (last && last[1] === id - 1) last[1] = id; else found.push([id, id]); return found; }, []);
function readTcf(text) {
  try {
    const model = TCString.decode(text);
    const restrictions = model.publisherRestrictions.getRestrictions().map((r) => [r.purposeId, r.restrictionType, runs(model.publisherRestrictions.getVendors(r))]);
    const read = {
      created: model.created.getTime(), last_updated: model.lastUpdated.getTime(), cmp_id: model.cmpId, policy_version: model.policyVersion,
      features: listed(model.specialFeatureOptins), consents: listed(model.purposeConsents), interests: listed(model.purposeLegitimateInterests),
      vendor_consents: runs(listed(model.vendorConsents)), vendor_interests: runs(listed(model.vendorLegitimateInterests)), restrictions,
      disclosed: text.split('.').slice(1).some((s) => 'IJKLMNOP'.includes(s[0])) ? runs(listed(model.vendorsDisclosed)) : null,
    };
    return Object.values(read).every((v) => v === null || typeof v === 'object' || Number.isFinite(v)) ? read : null;
  } catch { return null; }
}

const SECTIONS = ['usnat', 'usca', 'usva', 'usco', 'usut', 'usct', 'usfl', 'usmt', 'usor', 'ustx', 'usde', 'usia', 'usne', 'usnh', 'usnj', 'ustn', 'usmn', 'usmd', 'usin', 'usky', 'usri'];
const CHOICES = { SaleOptOut: 'sale_opt_out', SharingOptOut: 'sharing_opt_out', TargetedAdvertisingOptOut: 'targeted_advertising_opt_out',
  SensitiveDataProcessing: 'sensitive_data_processing', KnownChildSensitiveDataConsents: 'known_child_consents',
  PersonalDataConsents: 'personal_data_consents', AdditionalDataProcessingConsent: 'additional_data_processing' };
function gppText(names) {
  const model = new GppModel();
  for (const name of names) {
    if (name === 'uspv1') { model.setFieldValue(name, 'OptOutSale', ['Y', 'N', '-'][below(3)]); model.setFieldValue(name, 'Notice', 'Y'); model.setFieldValue(name, 'LspaCovered', 'N'); continue; }
    if (name === 'tcfeuv2') { model.setFieldValue(name, 'CmpId', 31); model.setFieldValue(name, 'PurposeConsents', Array.from({ length: 24 }, () => random() < 0.5)); continue; }
    const value = () => [2, 2, 1, 0][below(4)];
    for (const field of Object.keys(CHOICES)) {
      try {
        const now = model.getSection(name)?.[field] ?? (model.setFieldValue(name, 'SaleOptOut', value()), model.getSection(name)[field]);
        if (now === undefined) continue;
        model.setFieldValue(name, field, Array.isArray(now) ? now.map(value) : value());
      } catch { /* not a field of this section */ }
    }
    try { model.setFieldValue(name, 'Gpc', random() < 0.5); } catch { /* has none */ }
  }
  return model.encode();
}
function readGpp(text) {
  try {
    const model = new GppModel(text);
    const read = {};
    for (const id of model.getSectionIds()) {
      const section = model.getSection({ 6: 'uspv1', 2: 'tcfeuv2' }[id] ?? SECTIONS.find((name) => ids[name] === id));
      const name = { 6: 'uspv1', 2: 'tcfeuv2' }[id] ?? SECTIONS.find((n) => ids[n] === id);
      if (name === 'tcfeuv2') { read[name] = {}; continue; }
      if (name === undefined) continue;
      const said = {};
      if (name === 'uspv1') said.sale_opt_out = [{ Y: 1, N: 2, '-': 0 }[section.OptOutSale]];
      else for (const [field, ours] of Object.entries(CHOICES)) if (section[field] !== undefined) said[ours] = [].concat(section[field]);
      try { if (model.getFieldValue(name, 'GpcSegmentIncluded')) said.gpc = model.getFieldValue(name, 'Gpc'); } catch { /* has none */ }
      read[name] = said;
    }
    return read;
  } catch { return null; }
}
const ids = Object.fromEntries(SECTIONS.map((name, i) => [name, i + 7]));

function* damaged(text) {
  for (const share of [0.1, 0.5, 0.9]) yield text.slice(0, Math.floor(text.length * share));
  yield text.slice(0, -1);
  for (let i = 0; i < 8; i++) { const at = below(text.length); yield text.slice(0, at) + ALPHABET[below(64)] + text.slice(at + 1); }
  for (let i = 0; i < 2; i++) { const at = below(text.length); yield text.slice(0, at) + text.slice(at + 1); }
  for (let i = 0; i < 2; i++) { const at = below(text.length); yield text.slice(0, at) + ALPHABET[below(64)] + text.slice(at); }
  yield text + 'A'; yield text + 'AAAA'; yield text + '.'; yield text.split('.')[0];
}
const lines = (texts, read) => {
  const found = [];
  for (const text of texts) {
    const of = found.push({ text, read: read(text), of: null }) - 1;
    for (const copy of damaged(text)) if (copy !== text) found.push({ text: copy, read: read(copy), of });
  }
  return found;
};
const parts = (n) => [Segment.CORE, ...(n % 6 === 5 ? [] : [Segment.VENDORS_DISCLOSED]), ...(n % 3 === 0 ? [Segment.PUBLISHER_TC] : [])];
const tcf = lines(Array.from({ length: 24 }, (_, n) => TCString.encode(tcModel(n), { segments: parts(n) })), readTcf);
const combinations = [...SECTIONS.map((name) => [name]), ['uspv1'], ['usnat', 'usca'], ['tcfeuv2', 'usnat'], ['uspv1', 'usnat', 'usca', 'usva', 'usco'], SECTIONS];
const gpp = lines([...combinations, ...combinations.slice(0, 2)].map(gppText), readGpp);
const shown = (list) => '[\n' + list.map((line) => JSON.stringify(line)).join(',\n') + '\n]';
process.stdout.write(`{"made_with": ["@iabtcf/core 1.5.6", "@iabgpp/cmpapi 3.2.0"],\n"tcf": ${shown(tcf)},\n"gpp": ${shown(gpp)}}\n`);
