# Who checks how the keys are kept: names, versions, roles, the mark. No key, and nothing is changed.

path "yingbi-kv/data/yingbi/mark"          { capabilities = ["read"] }
path "yingbi-kv/metadata/yingbi/mark"      { capabilities = ["read"] }
path "yingbi-kv/metadata/yingbi/secrets"   { capabilities = ["list"] }
path "yingbi-kv/metadata/yingbi/secrets/*" { capabilities = ["read", "list"] }

path "yingbi-transit/keys/yingbi" { capabilities = ["read"] }

path "yingbi-pki/cert/ca"             { capabilities = ["read"] }
path "yingbi-pki/roles/yingbi-client" { capabilities = ["read"] }
path "yingbi-pki/roles/yingbi-server" { capabilities = ["read"] }

# Its own token.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self"  { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
