package keyring

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/cloudflare/circl/group"
)

// Share is one of the shares that together open a keyring whose passphrase or
// machine key was lost. Fewer than Threshold of them reveal nothing, whatever
// else is known but the keyring's file, and with the file no more than the
// file alone.
type Share struct {
	keyring   [idBytes]byte  // which keyring it opens
	set       [setBytes]byte // which dealing it is from
	Number    int            // whose it is: 1 to Shares
	Shares    int
	Threshold int
	value     [shareBytes]byte
}

const (
	setBytes   = 8
	shareBytes = 32 // a scalar of ristretto255
	maxShares  = 32
	maxShare   = 4 << 10 // bytes of its text

	shareMagic  = "yingbi recovery share v1"
	shareGroups = 4 // characters between two blanks
)

// Encode gives the share's text: a few lines of letters and digits, with a
// checksum, to be printed on paper and typed again.
func (s *Share) Encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# Share %d of %d of the recovery key of a yingbi keyring. Any %d of the %d open the
# keyring's file without its passphrase; this one alone reveals nothing. Give each
# to another person, to keep on paper, apart from the machine and its backups.
# 影壁密钥库恢复份额（%d/%d）：任意 %d 份可在遗失口令后打开密钥库文件，单独一份不泄露任何信息。
# 请由不同的人分别以纸质形式保管，与本机及其备份分开存放。
`, s.Number, s.Shares, s.Threshold, s.Shares, s.Number, s.Shares, s.Threshold)
	body := s.body()
	b.WriteString(body)
	fmt.Fprintf(&b, "check: %s\n", shareCheck(body))
	return b.Bytes()
}

// body is what the checksum is of.
func (s *Share) body() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nkeyring: %x\nset: %x\nshare: %d of %d, any %d open it\n", shareMagic, s.keyring, s.set, s.Number, s.Shares, s.Threshold)
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(s.value[:])
	for i := 0; i < len(text); i += shareGroups {
		end := min(i+shareGroups, len(text))
		b.WriteString(text[i:end])
		if end == len(text)/2 || end == len(text) {
			b.WriteByte('\n')
		} else {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

func shareCheck(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:8])
}

var shareLine = regexp.MustCompile(`^([1-9][0-9]?) of ([1-9][0-9]?), any ([1-9][0-9]?) open it$`)

// ParseShare reads a share's text, also one that was typed: blanks, blank
// lines, comments and the letters' case do not matter. Everything else does.
func ParseShare(b []byte) (*Share, error) {
	fail := func(what string) (*Share, error) {
		return nil, fmt.Errorf("%w: %s", ErrShares, what)
	}
	if len(b) > maxShare {
		return fail("the file is too large for one share")
	}
	var lines []string
	for line := range strings.Lines(string(b)) {
		if line = strings.Join(strings.Fields(line), " "); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	if len(lines) < 6 || lines[0] != shareMagic {
		return fail("this is no share, or a part of one")
	}
	var s Share
	if !hexField(lines[1], "keyring: ", s.keyring[:]) || !hexField(lines[2], "set: ", s.set[:]) {
		return fail("it does not say which keyring it opens")
	}
	text, ok := strings.CutPrefix(lines[3], "share: ")
	m := shareLine.FindStringSubmatch(text)
	if !ok || m == nil {
		return fail("it does not say which share it is")
	}
	for i, n := range []*int{&s.Number, &s.Shares, &s.Threshold} {
		*n, _ = strconv.Atoi(m[i+1]) // two digits
	}
	if checkSplit(s.Threshold, s.Shares) != nil || s.Number > s.Shares {
		return fail("it does not say which share it is")
	}
	last := len(lines) - 1
	letters := strings.ToUpper(strings.ReplaceAll(strings.Join(lines[4:last], ""), " ", ""))
	value, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(letters)
	if err != nil || len(value) != shareBytes {
		return fail(fmt.Sprintf("share %d of %d: its letters are not complete: they are A to Z and 2 to 7, %d of them", s.Number, s.Shares, (8*shareBytes+4)/5))
	}
	copy(s.value[:], value)
	clear(value)
	if strings.ToLower(lines[last]) != "check: "+shareCheck(s.body()) {
		return fail(fmt.Sprintf("share %d of %d: it does not match its own checksum: it was damaged or mistyped", s.Number, s.Shares))
	}
	if _, err := s.scalar(); err != nil {
		return fail(fmt.Sprintf("share %d of %d: it is no share's value", s.Number, s.Shares))
	}
	return &s, nil
}

// hexField reads a line that says bytes, and whether it does.
func hexField(line, name string, out []byte) bool {
	text, ok := strings.CutPrefix(line, name)
	b, err := hex.DecodeString(text)
	return ok && err == nil && copy(out, b) == len(out) && len(b) == len(out)
}

// scalar is the share's value; only the canonical bytes of one are taken.
func (s *Share) scalar() (group.Scalar, error) {
	x := group.Ristretto255.NewScalar()
	if err := x.UnmarshalBinary(s.value[:]); err != nil {
		return nil, err
	}
	again, err := x.MarshalBinary()
	if err == nil && !bytes.Equal(again, s.value[:]) {
		err = fmt.Errorf("not canonical")
	}
	return x, err
}

func checkSplit(threshold, shares int) error {
	if threshold < 2 || shares < threshold || shares > maxShares {
		return fmt.Errorf("keyring: %d of %d recovery shares: at least 2 have to be needed, at most %d can be made", threshold, shares, maxShares)
	}
	return nil
}
