# yingbi serve: the process that enterprises talk to. It reads the keys that it signs and evaluates
# with, moves the mark, and renews its own certificate. It unwraps no column, signs no enterprise,
# makes and destroys nothing.

path "yingbi-kv/data/yingbi/mark" { capabilities = ["read", "update"] }

path "yingbi-kv/data/yingbi/secrets/ledger"       { capabilities = ["read"] }
path "yingbi-kv/data/yingbi/secrets/ledger/*"     { capabilities = ["read"] }
path "yingbi-kv/data/yingbi/secrets/server-tls"   { capabilities = ["read"] }
path "yingbi-kv/data/yingbi/secrets/server-tls/*" { capabilities = ["read"] }
path "yingbi-kv/data/yingbi/secrets/prf/answers"  { capabilities = ["read"] }
path "yingbi-kv/data/yingbi/secrets/oprf/*"       { capabilities = ["read"] }

path "yingbi-pki/cert/ca"            { capabilities = ["read"] }
path "yingbi-pki/sign/yingbi-server" { capabilities = ["update"] }

# Its own token.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self"  { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
