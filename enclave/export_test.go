package enclave

import "github.com/yingbi/yingbi/enclave/keyring"

// WrapRing puts something before the domain's keyring.
func (d *Domain) WrapRing(wrap func(keyring.Keyring) keyring.Keyring) { d.ring = wrap(d.ring) }
