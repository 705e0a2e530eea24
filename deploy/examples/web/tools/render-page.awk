# Markdown, as much of it as these pages use, to HTML: titles, lists, links, pictures, bold text.
/^# / {
  title = substr($0, 3)
  printf "<!doctype html>\n<meta charset=\"utf-8\">\n<title>%s</title>\n<h1>%s</h1>\n", title, title
  next
}
/^picture: / { printf "<img src=\"%s.svg\" alt=\"\" width=\"600\">\n", name; next }
/^- / { if (!list) print "<ul>"; list = 1; print "<li>" inline(substr($0, 3)) "</li>"; next }
/^$/ { close_list(); if (paragraph) print "</p>"; paragraph = 0; next }
{ close_list(); if (!paragraph) print "<p>"; paragraph = 1; print inline($0) }
END { close_list(); if (paragraph) print "</p>" }

function close_list() {
  if (list) print "</ul>"
  list = 0
}

function inline(text,    at, inner, middle, picture) {
  while (match(text, /\*\*[^*]+\*\*/)) {
    inner = substr(text, RSTART + 2, RLENGTH - 4)
    text = substr(text, 1, RSTART - 1) "<b>" inner "</b>" substr(text, RSTART + RLENGTH)
  }
  while (match(text, /!?\[[^]]+\]\([^)]+\)/)) {
    inner = substr(text, RSTART, RLENGTH)
    picture = substr(inner, 1, 1) == "!"
    if (picture) inner = substr(inner, 2)
    middle = index(inner, "](")
    at = substr(inner, middle + 2, length(inner) - middle - 2)
    inner = substr(inner, 2, middle - 2)
    inner = picture ? "<img src=\"" at "\" alt=\"" inner "\" width=\"600\">" : "<a href=\"" at "\">" inner "</a>"
    text = substr(text, 1, RSTART - 1) inner substr(text, RSTART + RLENGTH)
  }
  return text
}
