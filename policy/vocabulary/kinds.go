package vocabulary

import (
	"cmp"
	"time"
)

// Kinds are all kinds, each after the kinds that it refers to: a list of
// documents in this order can be put into a catalogue one by one.
var Kinds = []Kind{
	KindResource, KindNegativeList, KindAuthorisation, KindProduct,
	KindEnterprise, KindGrant, KindCeiling, KindTariff,
}

// New returns an empty document of a kind, or nil for a kind that is none.
func (k Kind) New() Document {
	switch k {
	case KindAuthorisation:
		return new(Authorisation)
	case KindResource:
		return new(Resource)
	case KindProduct:
		return new(Product)
	case KindEnterprise:
		return new(Enterprise)
	case KindGrant:
		return new(Grant)
	case KindCeiling:
		return new(Ceiling)
	case KindTariff:
		return new(Tariff)
	case KindNegativeList:
		return new(NegativeList)
	}
	return nil
}

// Purposes are all purposes.
var Purposes = []Purpose{PublicGovernance, PublicWelfare, Industry}

// Free says whether uses for the purpose cost nothing (有条件无偿使用, 65号 一).
func (p Purpose) Free() bool { return p == PublicGovernance || p == PublicWelfare }

// Grades are all grades, weakest protection first.
var Grades = []Grade{GradeOpen, GradeGeneral, GradeImportant, GradeCore, GradeSecret}

// Defaults of what a product may leave out. A document's canonical form never
// has them filled in: its digest is of what was written.
const (
	DefaultMaxBatch   = 2048
	DefaultGraceDays  = 7
	DefaultMaxBytes   = 1024
	DefaultDuplicates = "refuse"
	DefaultBlanks     = "refuse"
)

// Batch is how many units one job may ask for: identifiers, or cells.
func (p *Product) Batch() int {
	switch {
	case p.Verify != nil && p.Verify.MaxBatch != 0:
		return p.Verify.MaxBatch
	case p.Aggregate != nil:
		return cmp.Or(p.Aggregate.MaxCells, DefaultMaxCells)
	}
	return DefaultMaxBatch
}

// Units of what a job asks for, as quotas count them.
const (
	UnitSubjects = "subjects" // of a verify product: identifiers
	UnitCells    = "cells"    // of an aggregate product
	UnitCalls    = "calls"    // of any product: jobs
)

// Unit is what one unit of a job is.
func (p *Product) Unit() string {
	if p.Type == TypeAggregate {
		return UnitCells
	}
	return UnitSubjects
}

// Padding is how many lookups a job may make beyond its identifiers. Cells are
// asked for as they are.
func (p *Product) Padding() int {
	if p.Verify == nil {
		return 0
	}
	return p.Verify.Padding
}

// Grace is how long an epoch stays served after the next one is live.
func (p *Product) Grace() time.Duration {
	days := 0
	switch {
	case p.Verify != nil:
		days = p.Verify.GraceDays
	case p.Aggregate != nil:
		days = p.Aggregate.GraceDays
	}
	return time.Duration(cmp.Or(days, DefaultGraceDays)) * 24 * time.Hour
}

// OnDuplicates is what repeated keys do: refuse, first or last.
func (v *Verify) OnDuplicates() string { return cmp.Or(v.Duplicates, DefaultDuplicates) }

// OnBlanks is what blank keys do: refuse or skip.
func (v *Verify) OnBlanks() string { return cmp.Or(v.Blanks, DefaultBlanks) }

// Column returns a resource's column by name.
func (r *Resource) Column(name string) (Column, bool) {
	for _, column := range r.Columns {
		if column.Name == name {
			return column, true
		}
	}
	return Column{}, false
}

// Limit is how many bytes a string value of the column may have.
func (c Column) Limit() int {
	if c.MaxBytes == 0 {
		return DefaultMaxBytes
	}
	return c.MaxBytes
}
