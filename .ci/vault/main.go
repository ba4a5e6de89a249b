// Command vault is the real Vault server and its command line, built from its
// own modules for the tests of enclave/keyring. It sits in a module of its own
// so that nothing of the server reaches the product's dependencies.
//
// Built with the tag minimal, the server has the engines and logins that the
// product uses, but for the Kubernetes login. Called by that plugin's name, this
// program is the plugin: the tests put a link to it into the server's
// plugin_directory.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	kubernetes "github.com/hashicorp/vault-plugin-auth-kubernetes"
	"github.com/hashicorp/vault/command"
	"github.com/hashicorp/vault/sdk/plugin"
)

const kubernetesPlugin = "vault-plugin-auth-kubernetes"

func main() {
	if filepath.Base(os.Args[0]) != kubernetesPlugin {
		os.Exit(command.Run(os.Args[1:]))
	}
	if err := plugin.ServeMultiplex(&plugin.ServeOpts{BackendFactoryFunc: kubernetes.Factory}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
