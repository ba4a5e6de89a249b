package admission

import (
	"slices"
	"strings"

	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// fits checks what a document means beside what is in force.
func (w *World) fits(f *faults, what string, doc vocabulary.Document, m *ledger.Manifest) {}

func gradePermits(p *vocabulary.Product, r *vocabulary.Resource) bool {
	return r.Grade != vocabulary.GradeSecret
}

// listed says whether a product uses what a negative list names.
func listed(n *vocabulary.NegativeList, p *vocabulary.Product, r *vocabulary.Resource) bool {
	if slices.Contains(n.Categories, r.Category) {
		return true
	}
	for _, name := range n.Columns {
		of, column, ok := cutLast(name)
		if ok && (of == "*" || of == r.ID) && slices.Contains(p.Release.Columns, column) {
			return true
		}
	}
	return false
}

func cutLast(s string) (string, string, bool) {
	at := strings.LastIndexByte(s, '.')
	if at < 0 {
		return "", "", false
	}
	return s[:at], s[at+1:], true
}

func covers(a *vocabulary.Authorisation, p *vocabulary.Product, r *vocabulary.Resource) bool {
	if len(a.Resources) > 0 && !slices.Contains(a.Resources, r.ID) {
		return false
	}
	switch a.Mode {
	case "whole":
		return true
	case "sector":
		return slices.Contains(a.Sectors, r.Category)
	case "scenario":
		return slices.Contains(a.Scenarios, p.Scenario)
	}
	return false
}
