package keyring

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A secret is version 1 of its path, written with check-and-set 0, and only
// that version is ever read: what somebody else writes over it changes nothing.
// Destroyed, its path keeps the metadata, so that check-and-set 0 never succeeds
// there again.
//
// The mark is the newest version of its path, written with check-and-set; KV
// keeps one more and prunes the rest.

// kvVersion is what KV says of one version.
type kvVersion struct {
	Version      int    `json:"version"`
	Destroyed    bool   `json:"destroyed"`
	DeletionTime string `json:"deletion_time"`
}

func (v *Vault) kvPath(operation, name string) string {
	return v.config.KV.Mount + "/" + operation + "/" + v.config.KV.Path + "/" + name
}

func (v *Vault) secretPath(operation, name string) string {
	return v.kvPath(operation, "secrets/"+name)
}

// put writes the version that follows after, 0 for the first, and gives its
// number.
func (v *Vault) put(ctx context.Context, path string, after int, data any) (int, error) {
	body := map[string]any{"options": map[string]int{"cas": after}, "data": data}
	var answer struct {
		Data kvVersion `json:"data"`
	}
	err := v.session.do(ctx, vaultRequest{path: path, body: body}, &answer)
	var refused *vaultRefusal
	if errors.As(err, &refused) && strings.Contains(refused.text, "check-and-set parameter did not match") {
		return 0, errVaultMoved
	}
	if err == nil && answer.Data.Version != after+1 {
		err = fmt.Errorf("%w: it wrote version %d, not %d: is %s a KV v2 mount?", ErrCorrupt, answer.Data.Version, after+1, v.config.KV.Mount)
	}
	return answer.Data.Version, err
}

// errVaultMoved: the path is at another version than the write was for.
var errVaultMoved = errors.New("the path has another version")

// CreateSecret implements [Secrets].
func (v *Vault) CreateSecret(ctx context.Context, name string, secret []byte) error {
	if err := checkSecret(name, secret); err != nil {
		return err
	}
	_, err := v.put(ctx, v.secretPath("data", name), 0, map[string][]byte{"secret": secret})
	if errors.Is(err, ErrDenied) {
		// A role that may make secrets may not write over one: that is denied
		// before the check-and-set is looked at.
		if _, there := v.versions(ctx, v.secretPath("metadata", name)); there == nil {
			err = errVaultMoved
		}
	}
	switch {
	case errors.Is(err, errVaultMoved):
		return fmt.Errorf("%w: secret %s", ErrExists, name)
	case err != nil:
		return fmt.Errorf("creating secret %s: %w", name, err)
	}
	return nil
}

// Secret implements [Secrets].
func (v *Vault) Secret(ctx context.Context, name string) ([]byte, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			Data struct {
				Secret []byte `json:"secret"`
			} `json:"data"`
			Metadata kvVersion `json:"metadata"`
		} `json:"data"`
	}
	err := v.session.do(ctx, vaultRequest{path: v.secretPath("data", name), query: url.Values{"version": {"1"}}}, &answer)
	secret, meta := answer.Data.Data.Secret, answer.Data.Metadata
	switch {
	case errors.Is(err, errVaultAbsent) && meta.Destroyed:
		return nil, fmt.Errorf("%w: secret %s", ErrDestroyed, name)
	case errors.Is(err, errVaultAbsent) && meta.DeletionTime != "":
		return nil, fmt.Errorf("%w: secret %s was deleted in Vault, not destroyed: bring it back with vault kv undelete -versions=1", ErrCorrupt, name)
	case errors.Is(err, errVaultAbsent):
		return nil, fmt.Errorf("%w: secret %s", ErrNotFound, name)
	case err != nil:
		return nil, fmt.Errorf("reading secret %s: %w", name, err)
	case meta.Version != 1 || len(secret) == 0 || len(secret) > MaxSecret:
		clear(secret)
		return nil, fmt.Errorf("%w: secret %s is not what a keyring writes: restore it from Vault's backup", ErrCorrupt, name)
	}
	return secret, nil
}

// versions gives what KV keeps of a path; ErrNotFound where it has nothing.
func (v *Vault) versions(ctx context.Context, path string) (map[int]kvVersion, error) {
	var answer struct {
		Data struct {
			Versions map[int]kvVersion `json:"versions"`
		} `json:"data"`
	}
	err := v.session.do(ctx, vaultRequest{path: path}, &answer)
	if errors.Is(err, errVaultAbsent) || err == nil && len(answer.Data.Versions) == 0 {
		return nil, ErrNotFound
	}
	return answer.Data.Versions, err
}

// DestroySecret implements [Secrets]: it destroys every version that KV has.
// Vault's own backups and snapshots of before still hold them.
func (v *Vault) DestroySecret(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	versions, err := v.versions(ctx, v.secretPath("metadata", name))
	if err != nil {
		return fmt.Errorf("destroying secret %s: %w", name, err)
	}
	var left []int
	for n, version := range versions {
		if !version.Destroyed {
			left = append(left, n)
		}
	}
	if len(left) == 0 {
		return nil
	}
	slices.Sort(left)
	if err := v.session.do(ctx, vaultRequest{path: v.secretPath("destroy", name), body: map[string][]int{"versions": left}}, nil); err != nil {
		return fmt.Errorf("destroying secret %s: %w", name, err)
	}
	return nil
}

// SecretNames implements [Secrets]. It asks for each folder and each secret
// once: KV lists those destroyed too.
func (v *Vault) SecretNames(ctx context.Context) ([]string, error) { return v.names(ctx, false) }

// DestroyedNames gives the names of secrets that were destroyed, in order.
func (v *Vault) DestroyedNames(ctx context.Context) ([]string, error) { return v.names(ctx, true) }

func (v *Vault) names(ctx context.Context, destroyed bool) ([]string, error) {
	names := []string{}
	seen := 0
	for folders := []string{""}; len(folders) > 0; {
		folder := folders[len(folders)-1]
		folders = folders[:len(folders)-1]
		keys, err := v.list(ctx, strings.TrimSuffix(v.secretPath("metadata", folder), "/"))
		if err != nil {
			return nil, fmt.Errorf("listing secrets: %w", err)
		}
		for _, key := range keys {
			if seen++; seen > maxSecrets {
				return nil, fmt.Errorf("%w: it holds more than %d secrets", ErrCorrupt, maxSecrets)
			}
			part, isFolder := strings.CutSuffix(key, "/")
			name := folder + part
			if part == "" || strings.Contains(part, "/") || checkName(name) != nil {
				continue // no keyring wrote it
			}
			if isFolder {
				folders = append(folders, name+"/")
				continue
			}
			versions, err := v.versions(ctx, v.secretPath("metadata", name))
			if err != nil && !errors.Is(err, ErrNotFound) {
				return nil, fmt.Errorf("listing secrets: %w", err)
			}
			if first, ok := versions[1]; ok && first.Destroyed == destroyed {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

func (v *Vault) list(ctx context.Context, path string) ([]string, error) {
	var answer struct {
		Data struct {
			Keys []string `json:"keys"`
		} `json:"data"`
	}
	err := v.session.do(ctx, vaultRequest{path: path, query: url.Values{"list": {"true"}}}, &answer)
	if errors.Is(err, errVaultAbsent) {
		return nil, nil
	}
	return answer.Data.Keys, err
}

// markRecord is a mark in KV. Strings, so that no JSON in between rounds.
type markRecord struct {
	Size string `json:"size"`
	Root string `json:"root"`
}

func newMarkRecord(m Mark) markRecord {
	return markRecord{strconv.FormatInt(m.Size, 10), hex.EncodeToString(m.Root[:])}
}

func (r markRecord) mark() (m Mark, ok bool) {
	size, err := strconv.ParseInt(r.Size, 10, 64)
	root, rootErr := hex.DecodeString(r.Root)
	if err != nil || rootErr != nil || size < 0 || len(root) != len(m.Root) {
		return Mark{}, false
	}
	m = Mark{Size: size, Root: [32]byte(root)}
	return m, newMarkRecord(m) == r
}

func (v *Vault) markPath(operation string) string { return v.kvPath(operation, "mark") }

func (v *Vault) markCorrupt(what string) error {
	return fmt.Errorf("%w: the mark at %s %s: it guards the ledger against being set back: compare the ledger with its newest receipts and checkpoints before making a new one", ErrCorrupt, v.markPath("data"), what)
}

// readMark gives the mark and its version; ErrNotFound and 0 where none was ever
// made.
func (v *Vault) readMark(ctx context.Context) (Mark, int, error) {
	var answer struct {
		Data struct {
			Data     markRecord `json:"data"`
			Metadata kvVersion  `json:"metadata"`
		} `json:"data"`
	}
	err := v.session.do(ctx, vaultRequest{path: v.markPath("data")}, &answer)
	meta := answer.Data.Metadata
	switch {
	case errors.Is(err, errVaultAbsent) && meta.Version == 0:
		return Mark{}, 0, fmt.Errorf("%w: no domain has its mark at %s: check keyring.vault.kv, or make the domain with yingbi init", ErrNotFound, v.markPath("data"))
	case errors.Is(err, errVaultAbsent):
		return Mark{}, 0, v.markCorrupt("was deleted")
	case err != nil:
		return Mark{}, 0, fmt.Errorf("reading the mark: %w", err)
	}
	m, ok := answer.Data.Data.mark()
	if !ok || meta.Version < 1 {
		return Mark{}, 0, v.markCorrupt("is no mark")
	}
	return m, meta.Version, nil
}

func (v *Vault) createMark(ctx context.Context) error {
	err := v.session.do(ctx, vaultRequest{path: v.markPath("metadata"), body: map[string]any{"max_versions": 2, "cas_required": true}}, nil)
	if err == nil {
		_, err = v.put(ctx, v.markPath("data"), 0, newMarkRecord(Mark{}))
	}
	if errors.Is(err, errVaultMoved) {
		return fmt.Errorf("%w: another process makes a domain at %s", ErrExists, v.markPath("data"))
	}
	return err
}

// Mark implements [Marks]: one request.
func (v *Vault) Mark(ctx context.Context) (Mark, error) {
	m, version, err := v.readMark(ctx)
	if err == nil {
		v.sawMark(m, version)
	}
	return m, err
}

func (v *Vault) sawMark(m Mark, version int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.mark, v.version = m, version
}

// AdvanceMark implements [Marks]: one request, where from is the mark that this
// process last saw.
func (v *Vault) AdvanceMark(ctx context.Context, from, to Mark) error {
	if to.Size < from.Size || to.Size == from.Size && to.Root != from.Root {
		return fmt.Errorf("%w: from tree size %d to %d", ErrMarkBack, from.Size, to.Size)
	}
	v.mu.Lock()
	now, version := v.mark, v.version
	v.mu.Unlock()
	if version == 0 || now != from || to == from {
		var err error
		if now, version, err = v.readMark(ctx); err != nil {
			return err
		}
		v.sawMark(now, version)
	}
	if now != from {
		return fmt.Errorf("%w: it is at tree size %d, not at %d as expected: another process went on", ErrMarkMoved, now.Size, from.Size)
	}
	if to == from {
		return nil
	}
	version, err := v.put(ctx, v.markPath("data"), version, newMarkRecord(to))
	if err != nil {
		v.sawMark(Mark{}, 0)
	}
	switch {
	case errors.Is(err, errVaultMoved):
		return fmt.Errorf("%w: it is not at tree size %d as expected: another process went on", ErrMarkMoved, from.Size)
	case err != nil:
		return fmt.Errorf("writing the mark: %w", err)
	}
	v.sawMark(to, version)
	return nil
}
