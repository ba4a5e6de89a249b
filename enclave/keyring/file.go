package keyring

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"filippo.io/age/armor"
)

// sealedFile is the keyring's file, apart but not opened.
type sealedFile struct {
	id       []byte          // random, says which keyring it is; nil in a file of layout 1
	unlock   string          // unlockPassphrase or unlockMachineKey
	identity []byte          // age file; with a passphrase only
	recovery *recoveryBlocks // age files; with recovery shares only
	secrets  []byte          // age file
}

const (
	fileMagic   = "yingbi keyring v2\n"
	fileMagic1  = "yingbi keyring v1\n" // without an id; read, never written
	idLine      = "id: "
	sharesLine  = "recovery: shares\n"
	idBytes     = 16
	unlockLine  = "unlock: "
	digestLine  = "sha256:"
	digestBytes = len(digestLine) + 2*sha256.Size + 1
)

func (f *sealedFile) encode() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(fileMagic + idLine + hex.EncodeToString(f.id) + "\n" + unlockLine + f.unlock + "\n")
	if f.unlock == unlockPassphrase {
		if err := writeArmored(&b, f.identity); err != nil {
			return nil, err
		}
	}
	if f.recovery != nil {
		b.WriteString(sharesLine)
		if err := errors.Join(writeArmored(&b, f.recovery.recovery), writeArmored(&b, f.recovery.identity)); err != nil {
			return nil, err
		}
	}
	if err := writeArmored(&b, f.secrets); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b.Bytes())
	b.WriteString(digestLine + hex.EncodeToString(sum[:]) + "\n")
	if b.Len() > maxFile {
		return nil, fmt.Errorf("keyring: the file would have %d bytes, at most %d are kept", b.Len(), maxFile)
	}
	return b.Bytes(), nil
}

func writeArmored(b *bytes.Buffer, p []byte) error {
	w := armor.NewWriter(b)
	if _, err := w.Write(p); err != nil {
		return err
	}
	return w.Close()
}

// decodeFile takes a file apart. It accepts what encode writes, and wrote when
// the layout was 1, and nothing else; all its errors are ErrCorrupt.
func decodeFile(b []byte) (*sealedFile, error) {
	corrupt := func(what string) (*sealedFile, error) {
		return nil, fmt.Errorf("%w: %s: restore the file from a backup", ErrCorrupt, what)
	}
	if len(b) > maxFile {
		return corrupt("the file is too large")
	}
	rest, first := bytes.CutPrefix(b, []byte(fileMagic1))
	ok := first
	if !first {
		rest, ok = bytes.CutPrefix(b, []byte(fileMagic))
	}
	if !ok {
		if v, is := bytes.CutPrefix(b, []byte("yingbi keyring v")); is {
			v, _, _ = bytes.Cut(v, []byte("\n"))
			return nil, fmt.Errorf("%w: its layout is version %q, this program reads 1 and 2: use a newer yingbi", ErrCorrupt, truncate(string(v)))
		}
		return corrupt("it does not begin as a keyring does")
	}
	if len(rest) < digestBytes {
		return corrupt("it is cut short")
	}
	signed, last := b[:len(b)-digestBytes], b[len(b)-digestBytes:]
	sum := sha256.Sum256(signed)
	if string(last) != digestLine+hex.EncodeToString(sum[:])+"\n" {
		return corrupt("its bytes do not match its own checksum")
	}
	rest = rest[:len(rest)-digestBytes]
	f := new(sealedFile)
	var err error
	if !first {
		line, after, _ := bytes.Cut(rest, []byte("\n"))
		text, ok := strings.CutPrefix(string(line), idLine)
		if f.id, err = hex.DecodeString(text); !ok || err != nil || len(f.id) != idBytes || text != strings.ToLower(text) {
			return corrupt("it does not say which keyring it is")
		}
		rest = after
	}
	line, rest, _ := bytes.Cut(rest, []byte("\n"))
	f.unlock = strings.TrimPrefix(string(line), unlockLine)
	switch string(line) {
	case unlockLine + unlockPassphrase:
		if f.identity, rest, err = cutArmored(rest); err != nil {
			return corrupt("its first block: " + err.Error())
		}
	case unlockLine + unlockMachineKey:
	default:
		return corrupt("it does not say how it is unlocked")
	}
	if after, ok := bytes.CutPrefix(rest, []byte(sharesLine)); ok && !first {
		f.recovery = new(recoveryBlocks)
		if f.recovery.recovery, rest, err = cutArmored(after); err == nil {
			f.recovery.identity, rest, err = cutArmored(rest)
		}
		if err != nil {
			return corrupt("its blocks for recovery: " + err.Error())
		}
	}
	if f.secrets, rest, err = cutArmored(rest); err != nil {
		return corrupt("its secrets: " + err.Error())
	}
	if len(rest) > 0 {
		return corrupt("something follows its last block")
	}
	return f, nil
}

func cutArmored(b []byte) (block, rest []byte, err error) {
	const end = armor.Footer + "\n"
	if !bytes.HasPrefix(b, []byte(armor.Header+"\n")) {
		return nil, nil, errors.New("no age file begins here")
	}
	i := bytes.Index(b, []byte(end))
	if i < 0 {
		return nil, nil, errors.New("the age file has no end")
	}
	i += len(end)
	block, err = io.ReadAll(armor.NewReader(bytes.NewReader(b[:i])))
	return block, b[i:], err
}

// The secrets' plaintext is
//
//	"yingbi secrets v1\n" ‖ count:u32 ‖ count × (len:u16 ‖ name ‖ len:u32 ‖ value) ‖ HMAC-SHA256
//
// with names ascending. Not JSON, because a JSON decoder leaves copies of the
// values where nothing clears them.
const (
	secretsMagic = "yingbi secrets v1\n"
	macBytes     = sha256.Size
)

// encodeSecrets gives the plaintext without its MAC, in a buffer with room for it.
func encodeSecrets(secrets map[string][]byte) []byte {
	size := len(secretsMagic) + 4 + macBytes
	for name, v := range secrets {
		size += 2 + len(name) + 4 + len(v)
	}
	b := append(make([]byte, 0, size), secretsMagic...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(secrets)))
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		b = binary.BigEndian.AppendUint16(b, uint16(len(name)))
		b = append(b, name...)
		b = binary.BigEndian.AppendUint32(b, uint32(len(secrets[name])))
		b = append(b, secrets[name]...)
	}
	return b
}

var errSecrets = errors.New("the secrets are malformed")

// decodeSecrets reads what encodeSecrets wrote. The values are copies.
func decodeSecrets(b []byte) (map[string][]byte, error) {
	b, ok := bytes.CutPrefix(b, []byte(secretsMagic))
	if !ok || len(b) < 4 {
		return nil, errSecrets
	}
	count := binary.BigEndian.Uint32(b)
	if b = b[4:]; count > maxSecrets {
		return nil, errSecrets
	}
	secrets := make(map[string][]byte)
	previous := ""
	for range count {
		name, rest, ok := cut(b, 2, maxName+len(gonePrefix))
		if !ok || string(name) <= previous {
			clearAll(secrets)
			return nil, errSecrets
		}
		value, rest, ok := cut(rest, 4, MaxSecret)
		if !ok {
			clearAll(secrets)
			return nil, errSecrets
		}
		b, previous = rest, string(name)
		secrets[previous] = bytes.Clone(value)
	}
	if len(b) > 0 {
		clearAll(secrets)
		return nil, errSecrets
	}
	return secrets, nil
}

// cut takes a field of 1 to limit bytes that follows its own length.
func cut(b []byte, lengthBytes, limit int) (field, rest []byte, ok bool) {
	if len(b) < lengthBytes {
		return nil, nil, false
	}
	n := 0
	for _, c := range b[:lengthBytes] {
		n = n<<8 | int(c)
	}
	b = b[lengthBytes:]
	if n < 1 || n > limit || n > len(b) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

func clearAll(secrets map[string][]byte) {
	for _, v := range secrets {
		clear(v)
	}
	clear(secrets)
}
