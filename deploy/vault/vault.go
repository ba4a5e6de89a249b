// Package vault holds what an operator sets up a Vault server with for the keys
// of a domain: see README.md. The tests run it as it stands.
package vault

import "embed"

// Files are README.md, setup.sh and the policies.
//
//go:embed README.md setup.sh *.hcl
var Files embed.FS
