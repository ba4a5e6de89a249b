# yingbi keyring migrate into Vault, beside init and operator: puts the domain's own certificate
# authority in the place of the one that setup.sh made. For that hour alone: who has it can make
# another authority the one that signs.

path "yingbi-pki/issuers/import/bundle" { capabilities = ["update"] }
path "yingbi-pki/config/issuers"        { capabilities = ["update"] }
