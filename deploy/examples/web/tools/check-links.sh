# Every link between pages leads to a page. usage: check-links.sh <pages>
set -eu
links=0
for page in "$1"/*.md; do
  for target in $(grep -o '([a-z]*\.html)' "$page" | tr -d '()'); do
    links=$((links + 1))
    if [ ! -f "$1/${target%.html}.md" ]; then
      echo "$page: link to $target leads nowhere" >&2
      exit 1
    fi
  done
done
echo "links: $links checked"
