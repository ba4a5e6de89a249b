// Package keyring keeps a domain's keys: the wrapping key under which data
// keys are stored, named secrets (signing keys, OPRF keys), the certificate
// authority, and the mark that the ledger's database may never fall below.
//
// [Keyring] is what the rest of the domain sees. [Embedded] is its
// implementation without a server: one file, sealed with filippo.io/age.
// [Vault] is the one on a HashiCorp Vault server: [Wrapper] is Transit,
// [Secrets] a KV v2 mount with check-and-set 0, [Marks] a KV v2 path with
// check-and-set, [Issuer] a PKI mount. One suite of tests holds both.
//
// # What it promises
//
//   - A secret once created is never replaced, and goes only where it is
//     destroyed: two processes that create different secrets at once both find
//     them afterwards. What one destroys or rotates the others follow at their
//     next call. A name is used once.
//   - A file that was damaged, sealed for somebody else, readable by others or
//     put together by one who does not know the key is refused with an error
//     that says which and what to do ([ErrCorrupt], [ErrWrongPassphrase],
//     [ErrPermissions], …).
//   - A new passphrase takes a new identity: who has an earlier copy and the
//     earlier passphrase reads that copy and nothing later.
//   - A wrapped key opens under its own context only.
//   - The mark only goes forward, by compare-and-swap, and is on the disk
//     before AdvanceMark returns.
//   - Certificates say who the operator said they are for: a request's own
//     names are ignored.
//
// # What it does not
//
// Whoever holds the file and its passphrase (or machine key) has every key.
// Restoring an older file together with an older mark is not noticed here; an
// older file alone is, by a process that knows what it lacks. Destroying takes
// a secret out of the file: copies of the earlier file (backups, blocks that
// the disk has not yet used again) still hold it.
// Close overwrites the secrets that this package holds; age and the standard
// library keep copies of their own (an age identity is a Go string) until the
// garbage collector reuses the memory.
//
// # The file
//
// Text, replaced whole and atomically, mode 0600:
//
//	yingbi keyring v2
//	id: <hex>                              random; also among the secrets
//	unlock: passphrase
//	-----BEGIN AGE ENCRYPTED FILE-----     an age identity, sealed with the passphrase
//	…
//	recovery: shares                       with recovery shares only:
//	-----BEGIN AGE ENCRYPTED FILE-----     the recovery identity, sealed with what the shares split
//	…
//	-----BEGIN AGE ENCRYPTED FILE-----     the keyring's identity, sealed to the recovery identity
//	…
//	-----BEGIN AGE ENCRYPTED FILE-----     the secrets, sealed to the keyring's identity
//	…
//	sha256:<hex>                           of all lines above
//
// Layout 1 had no id; such a file is read, and written anew at the first change.
//
// Under "unlock: machine-key" the first block is absent: the identity is a
// file of its own, mode 0600. Two steps let a secret be added without asking
// for the passphrase, or paying scrypt's second, again. The blocks are plain
// age files, so that a keyring can be opened without yingbi: cut them apart,
// `age -d first > id`, `age -d -i id second`.
//
// Sealing to a public key does not prove who sealed. The secrets therefore end
// in an HMAC under a key derived from the identity, which covers the blocks for
// recovery too, and the identity's public half is written nowhere.
//
// # A lost passphrase
//
// Without the passphrase (or machine key) nobody opens the file, unless recovery
// shares were made: t of n open it, fewer reveal nothing. Each is a [Share], a
// few lines to be kept on paper by n people, none of whom runs the machine
// alone. They split, by Shamir's scheme over the scalars of ristretto255
// (github.com/cloudflare/circl/secretsharing, which the project uses anyway), a
// secret that opens a recovery identity, to which the keyring's own identity is
// sealed. So they outlast a change of passphrase; they end when new ones are
// made ([Embedded.Reseal]). An earlier copy of the file is still opened by its
// own passphrase and its own shares. A share whose bytes were altered on purpose,
// checksum and all, is found out but not named.
//
// # Vault
//
// Nothing that the server holds is kept here, so each call is a request: what is
// destroyed there is gone for every process at once, and what cannot be asked
// gives [ErrSealed], [ErrUnavailable], [ErrDenied] or [ErrRateLimited]. A request
// is sent once, but for rate limits (three times in all): one whose answer was
// lost may have been done. After one that was not answered in time, calls fail at
// once until the server answers again. A settlement costs two requests, [Marks].Mark and
// [Marks].AdvanceMark; BenchmarkVaultSettlement measures them.
//
// The server is trusted with what it holds, and its answers are not: they are
// bounded, decoded strictly, and a certificate is compared with what was asked
// for. Who may write the mark may set it back: Vault's check-and-set keeps two
// processes apart and no process honest.
//
// Answers that hold secrets are decoded from a buffer that is overwritten, and
// what a caller gets is the only copy made here. What stays until the garbage
// collector reuses the memory: requests that carry a secret or a data key, and
// the login's token and credentials, which are Go strings in the api's client,
// and the buffers of net/http and crypto/tls.
package keyring
