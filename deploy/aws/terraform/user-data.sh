#!/bin/sh
set -eu
metadata=http://169.254.169.254/latest
token=$(curl -fsS -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$metadata/api/token")
address=$(curl -fsS -H "X-aws-ec2-metadata-token: $token" "$metadata/meta-data/local-ipv4")
cat > /etc/default/buildfleet-agent <<END
BUILDFLEET_OPTS=--nats ${nats_url} --blob-server 0.0.0.0:7001 --blob-server-advertise $address:7001 --drain-timeout ${drain_seconds}s
END
echo 'LIFECYCLE_HOOK=${hook}' > /etc/default/buildfleet-drain-on-notice
systemctl enable --now buildfleet-agent@1 buildfleet-drain-on-notice
