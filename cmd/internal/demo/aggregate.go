package demo

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// The statistics of the sample.
const (
	countsProduct = "licence-counts"
	mapProduct    = "licence-map"
	ratesProduct  = "default-rates"
)

// tellAggregate runs the acts of the statistics story in order.
func (s *story) tellAggregate(ctx context.Context) error {
	for _, act := range []func(context.Context) error{
		s.identities, s.domain, s.statistics, s.statisticsData, s.disclosure, s.privacy,
	} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	stop, err := s.serve(ctx)
	if err != nil {
		return err
	}
	for _, act := range []func(context.Context) error{s.exactCells, s.noisedCells, s.leak} {
		if err = act(ctx); err != nil {
			break
		}
	}
	if serr := stop(); err == nil {
		err = serr
	}
	if err != nil {
		return err
	}
	return s.pictures()
}

// statistics applies what the statistics rest on.
func (s *story) statistics(ctx context.Context) error {
	s.act(s.T("demo.vocabulary"))
	if err := s.approveStatistics(ctx, "manifests/10-authorisation.yaml", "manifests/40-ceilings.yaml"); err != nil {
		return err
	}
	for _, f := range []string{"sample/manifests", "sample/enterprise.yaml", "sample/aggregate"} {
		if _, err := s.run(ctx, 0, "apply -f "+f+" -d domain "+unlockFlag); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) approveStatistics(ctx context.Context, more ...string) error {
	for _, f := range append(more, "aggregate/10-authorisation.yaml", "aggregate/40-ceilings.yaml") {
		if _, err := s.run(ctx, 0, "approve sample/"+f+" --identity keys/authoriser"); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) statisticsData(ctx context.Context) error {
	s.act(s.T("demo.data"))
	for _, d := range []string{"business-licences sample/licences.csv", "credit-clients sample/credit_default.csv"} {
		if _, err := s.run(ctx, 0, "import "+d+" -d domain "+unlockFlag); err != nil {
			return err
		}
	}
	s.point(s.T("demo.data-point"))
	return nil
}

func (s *story) review(ctx context.Context, product string) error {
	_, err := s.run(ctx, 0, "review "+product+" --identity keys/reviewer -d domain "+unlockFlag)
	return err
}

// disclosure publishes two products over the same licences, exact, with what is
// too small suppressed; the second is checked against the first.
func (s *story) disclosure(ctx context.Context) error {
	s.act(s.T("demo.disclosure"))
	for _, p := range []string{countsProduct, mapProduct} {
		if err := s.review(ctx, p); err != nil {
			return err
		}
	}
	if _, err := s.run(ctx, 0, "publish "+countsProduct+" --dry-run -d domain "+unlockFlag); err != nil {
		return err
	}
	for _, p := range []string{countsProduct, mapProduct} {
		r, err := s.run(ctx, 0, "publish "+p+" -d domain "+unlockFlag)
		if err != nil {
			return err
		}
		s.figure(s.T("demo.figure-cells", p), "%.2f s", r.took.Seconds())
	}
	s.point(s.T("demo.disclosure-point"))
	return nil
}

// affordable is how many publications of the default rates the resource's budget
// of a year allows.
const affordable = 3

// privacy publishes noised rates until the year's budget is gone.
func (s *story) privacy(ctx context.Context) error {
	s.act(s.T("demo.privacy"))
	if err := s.review(ctx, ratesProduct); err != nil {
		return err
	}
	if _, err := s.run(ctx, 0, "publish "+ratesProduct+" --dry-run -d domain "+unlockFlag); err != nil {
		return err
	}
	for i := range affordable + 1 {
		code := 0
		if i == affordable {
			code = 1
		}
		r, err := s.run(ctx, code, "publish "+ratesProduct+" -d domain "+unlockFlag)
		if err != nil {
			return err
		}
		if i == 0 {
			s.figure(s.T("demo.figure-cells", ratesProduct), "%.2f s", r.took.Seconds())
		}
	}
	s.point(s.T("demo.privacy-point", affordable))
	return nil
}

// ask is an enterprise's request for cells, as a file.
func (s *story) ask(ctx context.Context, product, by string) ([]released, error) {
	file := product + ".csv"
	line := "cells " + product + " --purpose industry --by " + by + " --format csv -o out/" + file
	if _, err := s.run(ctx, 0, s.as(line)); err != nil {
		return nil, err
	}
	return s.readCells(file, len(strings.Split(by, ",")))
}

// exactCells asks for the licences and holds every cell to the raw data: exact
// but for the fingerprint's rounding, and never one of a few.
func (s *story) exactCells(ctx context.Context) error {
	s.act(s.T("demo.cells"))
	for _, of := range []struct {
		product, by string
		columns     []string
		keep        *comparison
	}{
		{countsProduct, "sector,ownership", []string{"naics_sector", "ownership_type"}, &s.counts},
		{mapProduct, "sector,zip3", []string{"naics_sector", "zip_5"}, new(comparison)},
	} {
		got, err := s.ask(ctx, of.product, of.by)
		if err != nil {
			return err
		}
		truth, err := s.countLicences(of.columns, of.product == mapProduct)
		if err != nil {
			return err
		}
		shown, err := s.holdExact(of.product, got, truth)
		if err != nil {
			return err
		}
		*of.keep = comparison{cells: got, truth: truth}
		s.point(s.T("demo.cells-point", of.product, len(got), shown, len(got)-shown))
	}
	return nil
}

// sectors is the one step of the main story that asks for statistics.
func (s *story) sectors(ctx context.Context) error {
	s.act(s.T("demo.sectors"))
	line := "cells " + countsProduct + " --purpose industry --by sector"
	r, err := s.run(ctx, 0, s.as(line))
	if err != nil {
		return err
	}
	truth := map[string]float64{}
	if err := s.eachRow("licences.csv", []string{"naics_sector"}, func(v []string) { truth[v[0]]++ }); err != nil {
		return err
	}
	var got []released
	for i, l := range strings.Split(strings.TrimSpace(r.out), "\n") {
		f := strings.Fields(l)
		if i == 0 || len(f) < 2 {
			continue // the header
		}
		value, err := strconv.ParseFloat(f[1], 64)
		got = append(got, released{codes: f[:1], shown: err == nil, value: value})
	}
	if err := expect(len(got) == len(truth), "%d sectors in the answer, %d in the data", len(got), len(truth)); err != nil {
		return err
	}
	shown, err := s.holdExact(countsProduct, got, truth)
	if err != nil {
		return err
	}
	s.point(s.T("demo.cells-point", countsProduct, len(got), shown, len(got)-shown))
	return nil
}

// minimum is the least cohort of a released cell in the sample's products, and
// rounding what their figures are multiples of.
const minimum, rounding = 10, 5

func (s *story) holdExact(product string, got []released, truth map[string]float64) (shown int, err error) {
	for _, c := range got {
		n := truth[c.key()]
		if err := expect(!c.shown || n == 0 || n >= minimum, "%s: the cell %s of %v licences is released", product, c.key(), n); err != nil {
			return 0, err
		}
		if !c.shown {
			continue
		}
		shown++
		if err := expect(c.value > n-rounding && c.value < n+rounding, "%s: the cell %s is %v, the raw data says %v", product, c.key(), c.value, n); err != nil {
			return 0, err
		}
	}
	return shown, expect(shown > 0 && shown < len(got), "%s: %d of %d cells are released", product, shown, len(got))
}

// noisedCells asks for the default rates: the interval that each cell comes with
// holds the true rate nearly always.
func (s *story) noisedCells(ctx context.Context) error {
	s.act(s.T("demo.noised"))
	got, err := s.ask(ctx, ratesProduct, "education,age")
	if err != nil {
		return err
	}
	truth, err := s.defaultRates()
	if err != nil {
		return err
	}
	s.rates = comparison{cells: got, truth: truth}
	within := 0
	for _, c := range got {
		if rate := truth[c.key()]; c.low <= rate && rate <= c.high {
			within++
		}
	}
	// 25 cells at 95% and more: fewer than 17 within has a probability below 10^-6.
	if err := expect(within >= len(got)*2/3, "only %d of %d intervals hold the true rate", within, len(got)); err != nil {
		return err
	}
	s.point(s.T("demo.noised-point", within, len(got)))
	return nil
}

// leak passes on half of a file and has it traced.
func (s *story) leak(ctx context.Context) error {
	s.act(s.T("demo.leak"))
	lines, err := s.lines(countsProduct + ".csv")
	if err != nil {
		return err
	}
	var half []string
	for i, l := range lines {
		if i == 0 || i%2 == 1 {
			half = append(half, l)
		}
	}
	if err := s.writeRaw("leak.csv", strings.Join(half, "\n")+"\n"); err != nil {
		return err
	}
	r, err := s.run(ctx, 0, fmt.Sprintf("trace out/leak.csv --product %s -d domain %s", countsProduct, unlockFlag))
	if err != nil {
		return err
	}
	if err := expect(strings.Contains(r.out, s.T("demo.leak-found", enterpriseCode)), "the leak was not traced"); err != nil {
		return err
	}
	s.point(s.T("demo.leak-point"))
	return nil
}
