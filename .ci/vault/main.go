// Command vault is the real Vault server, built from its own modules for the
// tests of enclave/keyring. It sits in a module of its own so that nothing of
// the server reaches the product's dependencies.
package main

import (
	"os"

	"github.com/hashicorp/vault/command"
)

func main() { os.Exit(command.Run(os.Args[1:])) }
