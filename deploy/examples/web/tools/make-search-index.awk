# word, then the pages it is on
FNR == 1 {
  page = FILENAME
  sub(/.*\//, "", page)
  sub(/\.md$/, ".html", page)
}
{
  text = tolower($0)
  gsub(/\([^)]*\)/, " ", text)
  gsub(/[^a-z]+/, " ", text)
  count = split(text, words, " ")
  for (i = 1; i <= count; i++) {
    word = words[i]
    if (length(word) < 4 || seen[word, page]++) continue
    index_of[word] = index_of[word] " " page
  }
}
END { for (word in index_of) print word index_of[word] }
