# yingbi init, and yingbi keyring migrate into Vault: makes the wrapping key, the first secrets and
# the mark of a new domain. Give it out for that hour alone, and take it back: who has it can read
# every secret. It unwraps, rotates and destroys nothing.

path "yingbi-kv/data/yingbi/mark"     { capabilities = ["create", "read", "update"] }
path "yingbi-kv/metadata/yingbi/mark" { capabilities = ["create", "update"] }

path "yingbi-kv/data/yingbi/secrets/*"     { capabilities = ["create", "read"] }
path "yingbi-kv/metadata/yingbi/secrets"   { capabilities = ["list"] }
path "yingbi-kv/metadata/yingbi/secrets/*" { capabilities = ["read", "list"] }

path "yingbi-transit/keys/yingbi" {
  capabilities       = ["create", "update", "read"]
  allowed_parameters = { "type" = ["aes256-gcm96"], "derived" = [true] }
}
path "yingbi-transit/encrypt/yingbi" { capabilities = ["update"] }

path "yingbi-pki/cert/ca"             { capabilities = ["read"] }
path "yingbi-pki/roles/yingbi-client" { capabilities = ["read"] }
path "yingbi-pki/roles/yingbi-server" { capabilities = ["read"] }
path "yingbi-pki/sign/yingbi-client"  { capabilities = ["update"] }
path "yingbi-pki/sign/yingbi-server"  { capabilities = ["update"] }

# Its own token.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self"  { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
