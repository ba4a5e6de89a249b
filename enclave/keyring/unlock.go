package keyring

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"filippo.io/age"
)

// Unlock says how a keyring is sealed and opened. Where a passphrase comes
// from (a prompt, a file, the environment) is the caller's business.
type Unlock struct {
	passphrase []byte
	machineKey string // path
}

// Passphrase unlocks with a passphrase. It keeps a copy; see [Unlock.Clear].
func Passphrase(p []byte) Unlock { return Unlock{passphrase: bytes.Clone(p)} }

// MachineKey unlocks with an age X25519 identity in a file that only its owner
// can read. Create makes the file where there is none.
func MachineKey(path string) Unlock { return Unlock{machineKey: path} }

// Clear overwrites the passphrase.
func (u Unlock) Clear() { clear(u.passphrase) }

const (
	unlockPassphrase = "passphrase"
	unlockMachineKey = "machine-key"
)

func (u Unlock) kind() string {
	if u.machineKey != "" {
		return unlockMachineKey
	}
	return unlockPassphrase
}

// scrypt's N is 2^logN, with r = 8: 2^18 takes about a second and 256 MiB. A
// file that asks for more than maxLogN is refused, so that an altered file
// cannot take all memory.
const (
	defaultLogN = 18
	maxLogN     = 20
)

// newSealing makes a fresh way for a keyring to be sealed.
func (u Unlock) newSealing(logN int) (sealing, error) {
	id, block, err := u.newIdentity(logN)
	if err != nil {
		return sealing{}, err
	}
	return newSealing(&sealedFile{unlock: u.kind(), identity: block}, id)
}

// sealing is how the file is sealed, opened.
func (u Unlock) sealing(f *sealedFile) (sealing, error) {
	id, err := u.identity(f)
	if err != nil {
		return sealing{}, err
	}
	return newSealing(f, id)
}

func newSealing(f *sealedFile, id *age.X25519Identity) (sealing, error) {
	mac, err := macKey(id)
	return sealing{kind: f.unlock, block: f.identity, id: id, mac: mac, recovery: f.recovery}, err
}

// newIdentity makes or reads the identity that a new keyring is sealed to, and
// the first block of its file (nil with a machine key).
func (u Unlock) newIdentity(logN int) (*age.X25519Identity, []byte, error) {
	if u.machineKey != "" {
		id, err := readMachineKey(u.machineKey)
		if errors.Is(err, fs.ErrNotExist) {
			id, err = createMachineKey(u.machineKey)
		}
		return id, nil, err
	}
	if len(u.passphrase) == 0 {
		return nil, nil, errors.New("keyring: the passphrase is empty: give one, or a machine key")
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, nil, fmt.Errorf("making the keyring's identity: %w", err)
	}
	r, err := age.NewScryptRecipient(string(u.passphrase))
	if err != nil {
		return nil, nil, fmt.Errorf("sealing with the passphrase: %w", err)
	}
	r.SetWorkFactor(logN)
	block, err := seal([]byte(id.String()), r)
	if err != nil {
		return nil, nil, fmt.Errorf("sealing with the passphrase: %w", err)
	}
	return id, block, nil
}

// identity opens the identity that the file's secrets are sealed to.
func (u Unlock) identity(f *sealedFile) (*age.X25519Identity, error) {
	if u.kind() != f.unlock {
		return nil, fmt.Errorf("%w: the file is sealed with a %s: open it with that, not with a %s", ErrWrongUnlock, f.unlock, u.kind())
	}
	if u.machineKey != "" {
		return readMachineKey(u.machineKey)
	}
	if len(u.passphrase) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrWrongPassphrase)
	}
	s, err := age.NewScryptIdentity(string(u.passphrase))
	if err != nil {
		return nil, fmt.Errorf("opening with the passphrase: %w", err)
	}
	s.SetMaxWorkFactor(maxLogN)
	id, err := openIdentity(f.identity, s)
	if errors.Is(err, age.ErrIncorrectIdentity) {
		return nil, fmt.Errorf("%w: try again; without the passphrase only recovery shares open this file", ErrWrongPassphrase)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: its first block: %w", ErrCorrupt, err)
	}
	return id, nil
}

// openIdentity opens an identity that was sealed to another.
func openIdentity(block []byte, with age.Identity) (*age.X25519Identity, error) {
	text, err := unseal(block, with)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	id, err := age.ParseX25519Identity(string(text))
	if err != nil {
		return nil, errors.New("it holds no age identity") // the parser's error could quote one
	}
	return id, nil
}

const maxMachineKey = 4 << 10

func readMachineKey(path string) (*age.X25519Identity, error) {
	b, err := readPrivate(path, maxMachineKey)
	if err != nil {
		return nil, fmt.Errorf("reading the machine key: %w", err)
	}
	defer clear(b)
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		id, err := age.ParseX25519Identity(line)
		if err != nil {
			break // the parser's error could quote the key
		}
		return id, nil
	}
	return nil, fmt.Errorf("%w: %s holds no age X25519 identity (a line AGE-SECRET-KEY-1…)", ErrWrongMachineKey, path)
}

func createMachineKey(path string) (*age.X25519Identity, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("making the machine key: %w", err)
	}
	b := []byte("# yingbi machine key: opens this machine's keyring. Keep a copy apart from the machine.\n" + id.String() + "\n")
	defer clear(b)
	if err := createPrivate(path, b); err != nil {
		return nil, fmt.Errorf("writing the machine key: %w", err)
	}
	return id, nil
}

// macKey is the key that proves that whoever sealed the secrets knew the
// identity and not its public half alone.
func macKey(id *age.X25519Identity) ([]byte, error) {
	text := []byte(id.String())
	defer clear(text)
	return hkdf.Key(sha256.New, text, nil, "yingbi keyring v1 secrets", sha256.Size)
}

// unseal decrypts an age file into one buffer of its own, with no copies left
// behind by a growing one.
func unseal(block []byte, id age.Identity) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(block), id)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, len(block)) // the plaintext is shorter
	n := 0
	for n < len(buf) {
		m, err := r.Read(buf[n:])
		n += m
		if err == io.EOF { // and nothing that wraps it: a cut ends in another error
			return buf[:n:n], nil
		}
		if err != nil {
			clear(buf)
			return nil, err
		}
	}
	clear(buf)
	return nil, errors.New("longer than its ciphertext")
}

func seal(plain []byte, to age.Recipient) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
