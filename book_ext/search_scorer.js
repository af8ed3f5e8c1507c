// Sphinx's scores, and before all else what bears exactly the name that was asked for.
var Scorer = {
  score: ([, title, , , score]) => (title.toLowerCase() === new URLSearchParams(location.search).get("q")?.trim().toLowerCase() ? 1000 : score),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
