# The operator's verbs: apply, import, publish, identity sign, rotate, shred, keyring status. It makes
# secrets and destroys them, but cannot write over one; it wraps and unwraps data keys, but cannot
# see a wrapping key.

path "yingbi-kv/data/yingbi/mark" { capabilities = ["read", "update"] }

path "yingbi-kv/data/yingbi/secrets/*"     { capabilities = ["create", "read"] }
path "yingbi-kv/destroy/yingbi/secrets/*"  { capabilities = ["update"] }
path "yingbi-kv/metadata/yingbi/secrets"   { capabilities = ["list"] }
path "yingbi-kv/metadata/yingbi/secrets/*" { capabilities = ["read", "list"] }

path "yingbi-transit/encrypt/yingbi"     { capabilities = ["update"] }
path "yingbi-transit/decrypt/yingbi"     { capabilities = ["update"] }
path "yingbi-transit/keys/yingbi"        { capabilities = ["read"] }
path "yingbi-transit/keys/yingbi/rotate" { capabilities = ["update"] }
path "yingbi-transit/keys/yingbi/trim"   { capabilities = ["update"] }
path "yingbi-transit/keys/yingbi/config" {
  capabilities = ["update"]
  allowed_parameters = {
    "min_decryption_version" = []
    "min_encryption_version" = []
  }
}

path "yingbi-pki/cert/ca"            { capabilities = ["read"] }
path "yingbi-pki/sign/yingbi-client" { capabilities = ["update"] }
path "yingbi-pki/sign/yingbi-server" { capabilities = ["update"] }

# Its own token.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self"  { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
