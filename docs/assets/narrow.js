// Lets names in tables break after their underscores and colons, where a column is narrow, and nowhere else.
for (const code of document.querySelectorAll(".md-typeset table :is(th, td) code")) {
  code.innerHTML = code.innerHTML.replace(/[_:]/g, "$&<wbr>");
}

// Puts a diagram that is drawn from left to right into a frame, in which it can be moved where a screen is narrow.
// Runs before diagrams are drawn: what is drawn cannot be read.
for (const diagram of document.querySelectorAll("pre.mermaid")) {
  if (/^\s*(sequenceDiagram|flowchart LR)/.test(diagram.textContent)) {
    const frame = document.createElement("div");
    frame.className = "wide-diagram";
    diagram.replaceWith(frame);
    frame.append(diagram);
  }
}
