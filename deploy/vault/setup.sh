#!/bin/sh
# Makes on a Vault server what the domain NAME (default yingbi) keeps its keys in: three mounts, the
# certificate authority with two roles, and a policy for each that logs in. Run it once for each
# domain, as Vault's administrator, with VAULT_ADDR and VAULT_TOKEN set.
set -eu
name=${1:-yingbi}
cd "$(dirname "$0")"

vault secrets enable -path="$name-transit" transit
vault secrets enable -path="$name-kv" -version=2 kv
vault secrets enable -path="$name-pki" -max-lease-ttl=175200h pki

# The authority's key is made in Vault and never leaves it. It signs no other authority.
vault write "$name-pki/root/generate/internal" common_name="$name CA" \
  key_type=ec key_bits=256 ttl=175200h max_path_length=0 >/dev/null

# What a request asks for by itself is ignored; who may sign by a role is the policies' to say.
role() {
  vault write "$name-pki/roles/$1" allow_any_name=true enforce_hostnames=false cn_validations=disabled \
    require_cn=false use_csr_common_name=false use_csr_sans=false serial_number_source=json \
    key_type=any key_usage=DigitalSignature basic_constraints_valid_for_non_ca=true \
    not_before_duration=5m no_store=true "$2" "$3" "$4" "$5" >/dev/null
}
role "$name-client" allowed_uri_sans='yingbi://*' client_flag=true server_flag=false allow_ip_sans=false
role "$name-server" allowed_uri_sans='yingbi://server/*' client_flag=false server_flag=true allow_ip_sans=true

for role in init operator serve auditor migrate; do
  sed "s/yingbi/$name/g" "$role.hcl" | vault policy write "$name-$role" -
done
