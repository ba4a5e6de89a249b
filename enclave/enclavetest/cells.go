package enclavetest

import (
	"fmt"
	"strings"
	"testing"
)

// Staff is how many rows Wages has by default.
const Staff = 240

// Wages is made-up data of n employees, of sectors and places, the last place
// with one employee of the first sector.
func Wages(n int) string {
	var b strings.Builder
	b.WriteString("employee,sector,zip,age,hired,wage,days\n")
	for i := range n {
		zip := fmt.Sprintf("98%d0%d", 1+i%2, i%4)
		if i == 0 {
			zip = "99500"
		}
		fmt.Fprintf(&b, "E%05d,%s,%s,%d,20%02d-03-01,%d.%02d,%d\n", i, Sector(i), zip, 20+i%40, 10+i%12, 3000+(i*7919)%4000, i%100, 200+i%50)
	}
	return b.String()
}

// WageManifests are a resource with a privacy budget and products over it:
// "wage-table" and "wage-ages" under disclosure control, "wage-noised" under
// differential privacy.
const WageManifests = `kind: Resource
id: wages
title: {en: Wages}
registration: R-3
provider: Test department
sourceOfTruth: Payroll register
category: market-regulation
grade: general
personalInformation: false
subject: employee
updateCycle: monthly
legalBasis: {en: Test ordinance}
budget: {lifetime: 1200000, period: 800000, per: month}
columns:
  - {name: employee, type: string, role: key, required: true, unique: true, title: {en: Employee}}
  - {name: sector, type: string, role: dimension, required: true, title: {en: Sector}}
  - {name: zip, type: string, role: dimension, title: {en: Postal code}}
  - {name: age, type: integer, role: dimension, title: {en: Age}}
  - {name: hired, type: date, role: dimension, title: {en: Hired}}
  - {name: wage, type: number, role: measure, title: {en: Wage}}
  - {name: days, type: integer, role: measure, title: {en: Days}}
---
` + WageTable + `---
kind: Product
id: wage-ages
title: {en: Wages by age}
type: aggregate
registration: P-12
resource: wages
scenario: business-verification
legalBasis:
  industry: {en: Contract}
aggregate:
  dimensions:
    - {name: age, column: age, edges: [20, 40, 60]}
    - {name: since, column: hired, edges: [2010-01-01, 2016-01-01, 2022-01-01]}
  margins:
    - {by: []}
  measures:
    - {name: people, is: count}
  disclosure: {minSubjects: 3}
  answers: [cells]
release:
  columns: [age, hired]
assessment:
  digest: sha256:0f4e8b6a2c9d7153e8a6b4c2d0f1e3957a8b6c4d2e0f19385746a5b4c3d2e1f0
  expires: 2035-12-31
---
kind: Product
id: wage-noised
title: {en: Noised wages}
type: aggregate
registration: P-13
resource: wages
scenario: business-verification
legalBasis:
  industry: {en: Contract}
aggregate:
  dimensions:
    - {name: sector, column: sector, codes: [retail, transport, health, mining]}
    - {name: age, column: age, edges: [20, 40, 60]}
  margins:
    - {by: [sector]}
  measures:
    - {name: people, is: count}
    - {name: wages, is: sum, column: wage, low: 0, high: 10000}
  privacy: {rho: 400000, mechanism: gaussian, rows: 1}
  answers: [cells]
release:
  columns: [sector, age, wage]
assessment:
  digest: sha256:0f4e8b6a2c9d7153e8a6b4c2d0f1e3957a8b6c4d2e0f19385746a5b4c3d2e1f0
  expires: 2035-12-31
`

// WageTable is the manifest of the product "wage-table".
const WageTable = `kind: Product
id: wage-table
title: {en: Wages by sector and place}
type: aggregate
registration: P-11
resource: wages
scenario: business-verification
legalBasis:
  industry: {en: Contract}
aggregate:
  dimensions:
    - {name: sector, column: sector, learn: 10}
    - {name: place, column: zip, learn: 100, levels: [{name: region, prefix: 3}]}
  margins:
    - {by: [sector]}
    - {by: [sector, region]}
    - {by: []}
  filter:
    - {column: age, op: ge, values: ["20"]}
  measures:
    - {name: people, is: count, round: 5, scale: 5}
    - {name: wages, is: sum, column: wage, low: 0, high: 10000, round: 100, scale: 100}
  disclosure: {minSubjects: 3, dominance: {n: 1, k: 75}}
  answers: [cells, weights]
  fingerprint: true
  graceDays: 7
release:
  columns: [sector, zip, age, wage]
assessment:
  digest: sha256:0f4e8b6a2c9d7153e8a6b4c2d0f1e3957a8b6c4d2e0f19385746a5b4c3d2e1f0
  expires: 2035-12-31
`

// WithWages is a domain with the data and products of WageManifests, reviewed
// and not published, and Northern without a grant.
func WithWages(t testing.TB) (*Domain, *Enterprise) {
	t.Helper()
	d := New(t)
	authorisation, _, _ := strings.Cut(Manifests, "---\n")
	d.MustApply(authorisation + "---\n" + WageManifests)
	e := d.Enterprise(Northern)
	d.MustImport("wages", Wages(Staff))
	for _, p := range []string{"wage-table", "wage-ages", "wage-noised"} {
		d.MustReview(p)
	}
	return d, e
}
