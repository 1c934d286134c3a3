/* Identity Fabric, Apache-2.0; docs/clients.md */
(function (w, d, n) {
  "use strict";
  var MAP = { ad_storage: "advertising", analytics_storage: "analytics", personalization_storage: "personalization" },
    early = (w[n] && w[n].q) || [], layer = (w.dataLayer = w.dataLayer || []),
    o = { endpoint: "/v1/events", source: "web", key: "", cookie: "cookie_id", session: "session_id", storage: "analytics", every: 1000 },
    consent = {}, law, people = {}, queue = [], busy, wait = 0, timer, here = id("s-"), kept = get("q");

  function id(p) { return p + (w.crypto && crypto.randomUUID ? crypto.randomUUID() : Date.now().toString(36) + Math.random().toString(36).slice(2)); }
  function get(k) { try { return w.localStorage["_fabric" + k]; } catch (e) {} }
  function put(k, v) {
    try {
      if (v) w.localStorage["_fabric" + k] = v; else delete w.localStorage["_fabric" + k];
      return 1;
    } catch (e) {}
  }
  function may() { return consent[o.storage] == "granted"; }

  // An id for this browser where storage is granted, else one for this page that is kept nowhere.
  function who() {
    var b = may() && (get("i") || id("b-")), list = Object.values(people);
    return list.concat(b && put("i", b) ? { namespace: o.cookie, value: b } : { namespace: o.session, value: here });
  }
  function save() { put("q", may() && queue[0] ? JSON.stringify(queue.slice(-200)) : 0); }

  function send(type, properties, traits) {
    var data = { identifiers: who(), properties: properties || {} };
    if (Object.keys(consent)[0]) data.consent = Object.assign({}, consent);
    if (law) data.regulation = law;
    if (traits) data.traits = traits;
    queue.push({ specversion: "1.0", id: id("evt-"), source: o.source, type: type, time: new Date().toISOString(), dataschema: type + "/1-0-0", data: data });
    save(); later(o.every);
  }
  function later(ms) { if (!timer && !busy) timer = setTimeout(flush, ms); }
  function flush(last) {
    clearTimeout(timer); timer = 0;
    if (busy || !queue[0]) return;
    var batch = queue.slice(0, 20), h = { "content-type": "application/json" };
    if (o.key) h.authorization = "Bearer " + o.key;
    busy = 1;
    fetch(o.endpoint, { method: "POST", headers: h, body: JSON.stringify({ events: batch }), keepalive: last === 1 }).then(function (r) {
      if (r.status > 499 || [401, 403, 404, 408, 429].includes(r.status)) throw r;
      queue.splice(0, batch.length); wait = 0;
    }).catch(function () { wait = Math.min(wait * 2 || 1000, 6e4); }).then(function () {
      busy = 0; save();
      if (queue[0]) later(wait || 50);
    });
  }
  function agree(purpose, state) {
    consent[purpose] = state;
    if (!may()) { put("i"); put("q"); }
  }
  // Google's consent mode: gtag("consent", "update", {ad_storage: "granted"})
  function layered(e) {
    if (e && e[0] == "consent") for (var k in e[2]) if (MAP[k] && /^(grant|deni)ed$/.test(e[2][k])) agree(MAP[k], e[2][k]);
  }
  function call(a) { api[a[0]].apply(0, [].slice.call(a, 1)); }

  var push = layer.push, api = {
    init: function (more) { Object.assign(o, more); },
    consent: function (states, regulation) { for (var k in states) agree(k, states[k]); law = regulation || law; },
    changed: function () { send("consent_change"); },
    identify: function (namespace, value, traits) { people[namespace] = { namespace: namespace, value: value }; send("identify", {}, traits); },
    page: function (p) { send("page_view", Object.assign({ url: location.origin + location.pathname }, p)); },
    product: function (p) { send("product_view", p); },
    track: send,
    flush: function () { flush(1); }
  };
  w[n] = function () { call(arguments); };
  layer.forEach(layered);
  layer.push = function () { [].forEach.call(arguments, layered); return push.apply(layer, arguments); };
  early.forEach(call);
  if (may() && kept) queue = JSON.parse(kept).concat(queue);
  if (queue[0]) later(0);
  w.addEventListener("pagehide", api.flush);
})(window, document, "fabric");
