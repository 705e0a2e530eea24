# Writes the site's signature: a checksum over a key and the checksums of all files. usage: sign.sh <site> <key file>
set -eu
cd "$1"
rm -f SIGNATURE
find . -type f | sort | xargs sha256sum > /tmp/checksums
cat "$2" /tmp/checksums | sha256sum | cut -d ' ' -f 1 > SIGNATURE
rm /tmp/checksums
echo "signed $(find . -type f | wc -l) files"
