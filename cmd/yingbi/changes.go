package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/yingbi/yingbi/enclave"
)

// printChanges says what an apply did or would do, field by field for what
// was there before.
func (e *env) printChanges(changes []enclave.Change, dryRun bool) error {
	var first, last int64 = -1, -1
	unchanged, applied := 0, 0
	for _, c := range changes {
		switch c.Action {
		case enclave.Unchanged:
			unchanged++
			continue
		case enclave.Create:
			e.say(e.T("apply.created", c.Kind, c.ID))
		case enclave.Update:
			e.say(e.T("apply.changed", c.Kind, c.ID, c.Version))
			if err := e.printDifference(c); err != nil {
				return err
			}
		default:
			e.say(e.T("apply.stops", e.Word(c.Action), c.Kind, c.ID))
		}
		applied++
		if c.Seq >= 0 {
			if first < 0 {
				first = c.Seq
			}
			last = c.Seq
		}
	}
	switch {
	case applied == 0:
		e.say(e.T("apply.nothing-to-do"))
		return nil
	case unchanged > 0:
		e.say(e.T("apply.unchanged", unchanged))
	}
	if dryRun {
		e.say(e.T("apply.dry-run"))
		return nil
	}
	if first == last {
		e.say(e.T("apply.applied-one", first))
		return nil
	}
	e.say(e.T("apply.applied", applied, first, last))
	return nil
}

// printDifference prints the fields that a new version changes.
func (e *env) printDifference(c enclave.Change) error {
	before, err := leaves(c.Before)
	if err != nil {
		return fmt.Errorf("compare versions of %s %s: %w", c.Kind, c.ID, err)
	}
	after, err := leaves(c.After)
	if err != nil {
		return fmt.Errorf("compare versions of %s %s: %w", c.Kind, c.ID, err)
	}
	var paths []string
	for p := range before {
		paths = append(paths, p)
	}
	for p := range after {
		if _, ok := before[p]; !ok {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	show := func(v string, ok bool) string {
		if !ok {
			return e.T("apply.absent")
		}
		return v
	}
	for _, p := range paths {
		was, had := before[p]
		is, has := after[p]
		if was != is || had != has {
			e.say(e.T("apply.field", p, show(was, had), show(is, has)))
		}
	}
	return nil
}

// leaves flattens a JSON document to its scalar values by path.
func leaves(doc json.RawMessage) (map[string]string, error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	out := map[string]string{}
	flatten(nil, v, out)
	return out, nil
}

func flatten(path []string, v any, out map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for k, child := range v {
			flatten(append(slices.Clone(path), k), child, out)
		}
	case []any:
		for i, child := range v {
			flatten(append(slices.Clone(path), fmt.Sprint(i)), child, out)
		}
	default:
		out[strings.Join(path, ".")] = fmt.Sprint(v)
	}
}
