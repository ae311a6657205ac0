// Lets names in tables break after their underscores and colons, where a column is narrow, and nowhere else.
for (const code of document.querySelectorAll(".md-typeset table :is(th, td) code")) {
  code.innerHTML = code.innerHTML.replace(/[_:]/g, "$&<wbr>");
}
