package keyring

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	"filippo.io/age"
	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"
)

// Recovery asks for recovery shares: Shares of them, of which any Threshold
// open the keyring. Deliver stores them before the keyring relies on them; an
// error of it changes nothing.
type Recovery struct {
	Threshold, Shares int
	Deliver           func([]Share) error
}

// recoveryBlocks are the file's two blocks for recovery: the recovery identity
// under a secret that the shares split, made once a dealing, and the keyring's
// identity sealed to the recovery identity, made anew with every passphrase.
//
// The keyring keeps the recovery identity's public half among its secrets and
// the private half nowhere. So a new passphrase needs no share, the shares
// outlast it, and who once had the keyring open does not have what they have.
type recoveryBlocks struct {
	recovery []byte
	identity []byte
}

// The entry of a dealing is set ‖ threshold ‖ shares ‖ recipient.
const (
	entryRecovery  = "#recovery" // the first dealing; the next are #recovery/2, …
	recoveryPrefix = setBytes + 2
)

// The shares' secret is a random scalar of ristretto255, 252 bits: no guessing
// to slow down.
const shareLogN = 10

// deal makes recovery shares of a keyring with these entries, delivers them, and
// changes the entries and how it is sealed accordingly.
func (r *Recovery) deal(s *sealing, entries map[string][]byte) error {
	if err := checkSplit(r.Threshold, r.Shares); err != nil {
		return err
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return fmt.Errorf("making the recovery identity: %w", err)
	}
	secret := group.Ristretto255.RandomNonZeroScalar(rand.Reader)
	sealed, err := sealRecovery(id, secret)
	if err != nil {
		return err
	}
	own, err := sealIdentity(s.id, id.Recipient())
	if err != nil {
		return err
	}
	share := Share{Shares: r.Shares, Threshold: r.Threshold}
	copy(share.keyring[:], entries[entryID])
	copy(share.set[:], random(setBytes))
	split := secretsharing.New(rand.Reader, uint(r.Threshold-1), secret).Share(uint(r.Shares))
	shares := make([]Share, r.Shares)
	defer clear(shares)
	for i, part := range split {
		b, err := part.Value.MarshalBinary()
		if err != nil {
			return fmt.Errorf("splitting the recovery key: %w", err)
		}
		share.Number = i + 1
		copy(share.value[:], b)
		clear(b)
		shares[i] = share
	}
	if err := r.Deliver(shares); err != nil {
		return fmt.Errorf("storing the recovery shares: %w", err)
	}
	s.recovery = &recoveryBlocks{recovery: sealed, identity: own}
	newest := newestOf(entries, entryRecovery)
	if newest > 0 {
		old := numbered(entryRecovery, newest)
		delete(entries, old)
		entries[gone(old)] = []byte{tombstone}
	}
	entry := append(bytes.Clone(share.set[:]), byte(r.Threshold), byte(r.Shares))
	entries[numbered(entryRecovery, newest+1)] = append(entry, id.Recipient().String()...)
	return nil
}

// dealing reads the newest dealing's entry; nil where there is none.
func dealing(entries map[string][]byte) (*Share, *age.X25519Recipient, error) {
	v, ok := entries[numbered(entryRecovery, max(newestOf(entries, entryRecovery), 1))]
	if !ok {
		return nil, nil, nil
	}
	if len(v) <= recoveryPrefix {
		return nil, nil, errors.New("its recovery is malformed")
	}
	s := &Share{Threshold: int(v[setBytes]), Shares: int(v[setBytes+1])}
	copy(s.set[:], v)
	to, err := age.ParseX25519Recipient(string(v[recoveryPrefix:]))
	if err != nil {
		return nil, nil, errors.New("its recovery is malformed")
	}
	return s, to, nil
}

// RecoveryShares says how many recovery shares there are and how many of them
// open the keyring; zeros where there are none.
func (k *Embedded) RecoveryShares() (threshold, shares int) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	s, _, err := dealing(k.secrets)
	if err != nil || s == nil {
		return 0, 0
	}
	return s.Threshold, s.Shares
}

func sharesPassphrase(secret group.Scalar) (string, error) {
	b, err := secret.MarshalBinary()
	if err != nil {
		return "", err
	}
	defer clear(b)
	return hex.EncodeToString(b), nil
}

func sealRecovery(id *age.X25519Identity, secret group.Scalar) ([]byte, error) {
	pass, err := sharesPassphrase(secret)
	if err != nil {
		return nil, err
	}
	r, err := age.NewScryptRecipient(pass)
	if err != nil {
		return nil, err
	}
	r.SetWorkFactor(shareLogN)
	return sealIdentity(id, r)
}

func sealIdentity(id *age.X25519Identity, to age.Recipient) ([]byte, error) {
	text := []byte(id.String())
	defer clear(text)
	block, err := seal(text, to)
	if err != nil {
		return nil, fmt.Errorf("sealing for recovery: %w", err)
	}
	return block, nil
}

// Reseal seals the keyring anew: under another passphrase or machine key, with
// another identity, and with new recovery shares where o asks for them. What
// the old one opened before it goes on opening: earlier copies of the file.
// Other processes go on with what they hold, and get ErrResealed for what they
// do not. Wrong or not, after an error the file is as it was or sealed anew,
// never between.
func (k *Embedded) Reseal(ctx context.Context, unlock Unlock, o Options) (err error) {
	o = o.withDefaults()
	s, err := unlock.newSealing(o.InsecureTestLogN) // outside the lock: it takes a second
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.secrets == nil {
		return ErrClosed
	}
	release, err := lock(ctx, k.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	if err := k.reload(); err != nil {
		return err
	}
	before, next := k.secrets, maps.Clone(k.secrets)
	if err := migrate(next); err != nil {
		return err
	}
	if err := k.carryRecovery(&s, next, o.Recovery); err != nil {
		clearMissing(next, before)
		return err
	}
	old := k.seal.mac
	if err := k.write(s, next); err != nil {
		clearMissing(next, before)
		return fmt.Errorf("sealing the keyring anew: %w", err)
	}
	clear(old)
	clearMissing(before, next)
	return nil
}

// carryRecovery makes new shares, or seals the new identity for the old ones.
func (k *Embedded) carryRecovery(s *sealing, next map[string][]byte, r *Recovery) error {
	if r != nil {
		return r.deal(s, next)
	}
	_, to, err := dealing(next)
	if err != nil || to == nil {
		return err
	}
	block, err := sealIdentity(s.id, to)
	if err != nil {
		return err
	}
	s.recovery = &recoveryBlocks{recovery: k.seal.recovery.recovery, identity: block}
	return nil
}

// Recover opens a keyring whose passphrase or machine key was lost, by enough
// of its shares, and seals it anew under unlock. It gives ErrShares where the
// shares do not open it, and then changes nothing. The shares remain good; as
// they met on one machine, new ones (Options.Recovery) are wiser.
func Recover(ctx context.Context, path string, shares []*Share, unlock Unlock, o Options) (*Embedded, error) {
	o = o.withDefaults()
	k, err := open(path, o, func(f *sealedFile) (sealing, error) { return recovered(f, shares) })
	if err != nil {
		return nil, err
	}
	if err := k.Reseal(ctx, unlock, o); err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

// recovered opens how a file is sealed with its shares.
func recovered(f *sealedFile, shares []*Share) (sealing, error) {
	if f.recovery == nil {
		return sealing{}, fmt.Errorf("%w: it was made without recovery shares", ErrShares)
	}
	secret, err := combine(f.id, shares)
	if err != nil {
		return sealing{}, err
	}
	pass, err := sharesPassphrase(secret)
	if err != nil {
		return sealing{}, err
	}
	scrypt, err := age.NewScryptIdentity(pass)
	if err != nil {
		return sealing{}, err
	}
	scrypt.SetMaxWorkFactor(shareLogN)
	recovery, err := openIdentity(f.recovery.recovery, scrypt)
	if errors.Is(err, age.ErrIncorrectIdentity) {
		return sealing{}, fmt.Errorf("%w: they fit together and do not open it: they are of an earlier set, or one was altered on purpose: look for the newest set, or try others of it", ErrShares)
	}
	if err != nil {
		return sealing{}, fmt.Errorf("%w: its recovery: %w", ErrCorrupt, err)
	}
	id, err := openIdentity(f.recovery.identity, recovery)
	if err != nil {
		return sealing{}, fmt.Errorf("%w: its recovery: %w", ErrCorrupt, err)
	}
	return newSealing(f, id)
}

// combine checks that shares belong together and gives what they split.
func combine(id []byte, shares []*Share) (group.Scalar, error) {
	fail := func(format string, args ...any) (group.Scalar, error) {
		return nil, fmt.Errorf("%w: %s", ErrShares, fmt.Sprintf(format, args...))
	}
	if len(shares) == 0 {
		return fail("none was given")
	}
	first := shares[0]
	var parts []secretsharing.Share
	var numbers []int
	for _, s := range shares {
		if !bytes.Equal(s.keyring[:], id) {
			return fail("share %d is of keyring %x, and this is %x", s.Number, s.keyring, id)
		}
		if s.set != first.set || s.Shares != first.Shares || s.Threshold != first.Threshold {
			return fail("shares %d and %d were not made together: they are of the sets %x and %x", first.Number, s.Number, first.set, s.set)
		}
		if slices.Contains(numbers, s.Number) {
			return fail("share %d was given twice", s.Number)
		}
		x, err := s.scalar()
		if err != nil {
			return fail("share %d is no share's value", s.Number)
		}
		numbers = append(numbers, s.Number)
		parts = append(parts, secretsharing.Share{ID: group.Ristretto255.NewScalar().SetUint64(uint64(s.Number)), Value: x})
	}
	if len(parts) < first.Threshold {
		return fail("%d are needed, %d were given", first.Threshold, len(parts))
	}
	return secretsharing.Recover(uint(first.Threshold-1), parts)
}
