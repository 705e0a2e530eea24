# Renders every page with its picture; what was rendered before from the same page and the same tools is taken from the cache.
# usage: render-pages.sh <pages> <site> <cache>
set -eu
pages=$1 site=$2 cache=$3
tools=$(dirname "$0")
rendered=0 kept=0
mkdir -p "$site"
for page in "$pages"/*.md; do
  name=$(basename "$page" .md)
  key=$(cat "$page" "$tools"/*.awk | sha256sum | cut -c 1-32)
  if [ -d "$cache/$key" ]; then
    kept=$((kept + 1))
  else
    rendered=$((rendered + 1))
    work=$(mktemp -d "$cache/work.XXXXXX")
    set -- $(sed -n 's/^picture: //p' "$page")
    awk -f "$tools/draw-fractal.awk" -v x="$1" -v y="$2" -v size="$3" -v columns=72 > "$work/$name.svg"
    awk -f "$tools/render-page.awk" -v name="$name" "$page" > "$work/$name.html"
    mv "$work" "$cache/$key"
  fi
  cp "$cache/$key"/* "$site/"
done
echo "pages: $rendered rendered, $kept taken from the cache mount"
