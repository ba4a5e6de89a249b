package keyring

import (
	"bytes"
	"os"
	"testing"
)

// What decodes is exactly what encodes to the same bytes.
func FuzzDecodeFile(f *testing.F) {
	k, path, _ := newKeyring(f)
	b, err := os.ReadFile(path)
	must(f, err)
	f.Add(b)
	withBlock, err := (&sealedFile{id: make([]byte, idBytes), unlock: unlockPassphrase, identity: []byte("first"), secrets: []byte("second")}).encode()
	must(f, err)
	f.Add(withBlock)
	withShares, err := (&sealedFile{id: make([]byte, idBytes), unlock: unlockMachineKey, recovery: &recoveryBlocks{[]byte("a"), []byte("b")}, secrets: []byte("c")}).encode()
	must(f, err)
	f.Add(withShares)
	f.Add([]byte(fileMagic))
	earlier, err := os.ReadFile("testdata/v1/keyring.age")
	must(f, err)
	f.Add(earlier)
	k.Close()
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := decodeFile(rehashIfLong(b))
		if err != nil {
			return
		}
		if file.id == nil { // of layout 1, which is not written any more
			file.id = make([]byte, idBytes)
		}
		again, err := file.encode()
		must(t, err)
		file2, err := decodeFile(again)
		must(t, err)
		if !bytes.Equal(file2.id, file.id) || file2.unlock != file.unlock || !bytes.Equal(file2.identity, file.identity) || !bytes.Equal(file2.secrets, file.secrets) || (file.recovery == nil) != (file2.recovery == nil) ||
			file.recovery != nil && (!bytes.Equal(file2.recovery.recovery, file.recovery.recovery) || !bytes.Equal(file2.recovery.identity, file.recovery.identity)) {
			t.Error("decoding and encoding changed the file")
		}
	})
}

func rehashIfLong(b []byte) []byte {
	if len(b) < digestBytes {
		return b
	}
	return rehash(b)
}

func FuzzDecodeSecrets(f *testing.F) {
	f.Add(encodeSecrets(nil))
	f.Add(encodeSecrets(map[string][]byte{"#ca": []byte("x"), "ledger": make([]byte, 64)}))
	f.Add(append([]byte(secretsMagic), 0xff, 0xff, 0xff, 0xff))
	f.Fuzz(func(t *testing.T, b []byte) {
		secrets, err := decodeSecrets(b)
		if err == nil && !bytes.Equal(encodeSecrets(secrets), b) {
			t.Error("decoding and encoding changed the secrets")
		}
	})
}

func FuzzUnwrap(f *testing.F) {
	k, _, _ := newKeyring(f)
	w, err := k.Wrap(f.Context(), "c", []byte("data key"))
	must(f, err)
	f.Add("c", w)
	f.Add("d", w)
	f.Add("c", w[:wrapExtra])
	f.Fuzz(func(t *testing.T, context string, b []byte) {
		got, err := k.Unwrap(t.Context(), context, b)
		if err == nil && (context != "c" || !bytes.Equal(b, w) || string(got) != "data key") {
			t.Errorf("Unwrap opened what Wrap did not make: %x", b)
		}
	})
}

func FuzzMark(f *testing.F) {
	k, path, _ := newKeyring(f)
	must(f, k.AdvanceMark(f.Context(), Mark{}, at(3)))
	b, err := os.ReadFile(MarkPath(path))
	must(f, err)
	f.Add(b)
	f.Add(b[:100])
	f.Fuzz(func(t *testing.T, b []byte) {
		_, m, err := k.marks.newest(bytes.NewReader(b), int64(len(b)))
		if err == nil && m != (Mark{}) && m != at(3) {
			t.Errorf("a mark that was never set: %v", m)
		}
	})
}

func FuzzIssue(f *testing.F) {
	k, _, _ := newKeyring(f)
	f.Add(newCSR(f, newKey(f)), clientURI, "localhost")
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"), "yingbi://a/b", "::1")
	f.Fuzz(func(t *testing.T, csr []byte, uri, host string) {
		k.Issue(t.Context(), CertificateRequest{CSR: csr, URI: uri, Hosts: []string{host}, NotAfter: testNow.AddDate(1, 0, 0)})
	})
}

func FuzzMachineKey(f *testing.F) {
	path := f.TempDir() + "/key"
	_, err := createMachineKey(path)
	must(f, err)
	b, err := os.ReadFile(path)
	must(f, err)
	f.Add(b)
	f.Add([]byte("# only a comment\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		must(t, os.WriteFile(path, b, 0o600))
		readMachineKey(path)
	})
}
