package demo

import (
	"context"
	"fmt"
	"strings"

	"github.com/yingbi/yingbi/policy/fees"
)

// as is the enterprise's part of a command line. The gateway's address is
// printed where the operator's fixed one would stand.
func (s *story) as(line string) string {
	return line + " --identity keys/northwind --gateway " + s.gateway
}

func (s *story) enterprise(ctx context.Context) error {
	acts := []func(context.Context) error{s.firstDay, s.private, s.refusals, s.retry}
	if s.Records == 0 {
		acts = append(acts, s.sectors)
	}
	for _, act := range acts {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) firstDay(ctx context.Context) error {
	s.act(s.T("demo.first-day"))
	r, err := s.run(ctx, 0, s.as("products --mine"))
	if err != nil {
		return err
	}
	for _, p := range s.products() {
		if err := expect(strings.Contains(r.out, p), "the product list lacks %s", p); err != nil {
			return err
		}
	}
	if err := s.writeRaw("sandbox.csv", "account_number\nSB0100000\nSB0999999\n"); err != nil {
		return err
	}
	if _, err := s.run(ctx, 0, s.as("verify --product "+sandboxProduct+" --purpose industry --in out/sandbox.csv --out out/sandbox-answers.csv")); err != nil {
		return err
	}
	s.point(s.T("demo.first-day-point"))
	// A malformed row is found before anything is paid.
	if err := s.writeRaw("malformed.csv", "city_account_number,business_legal_name\n0000000420000099,CARGILL INCORPORATED\n,NOBODY\n"); err != nil {
		return err
	}
	if _, err := s.run(ctx, 1, s.as("verify --product "+labelProduct+" --purpose industry --in out/malformed.csv --out out/none.csv")); err != nil {
		return err
	}
	return nil
}

// batch is how many identifiers the demo asks about at a time.
const batch = 100

func (s *story) private(ctx context.Context) error {
	s.act(s.T("demo.private", batch))
	if _, err := s.run(ctx, 0, s.as(fmt.Sprintf("quote --product %s --purpose industry --units %d", labelProduct, batch))); err != nil {
		return err
	}
	qs := s.questions(0, batch)
	if err := s.writeSheet("customers.csv", qs); err != nil {
		return err
	}
	if s.Records == 0 {
		if _, err := s.run(ctx, 0, s.as("verify --product "+equalsProduct+" --purpose industry --in out/customers.csv --out out/holders.csv")); err != nil {
			return err
		}
		n, err := s.checkAnswers("holders.csv", qs, func(q question) (string, string) { return yesNo(q.matches), "" })
		if err != nil {
			return err
		}
		s.point(s.T("demo.private-equals", batch, n, batch-n))
	}
	r, err := s.run(ctx, 0, s.as("verify --product "+labelProduct+" --purpose industry --in out/customers.csv --out out/sectors.csv --explain"))
	if err != nil {
		return err
	}
	n, err := s.checkAnswers("sectors.csv", qs, func(q question) (string, string) {
		if !q.present {
			return yesNo(false), ""
		}
		return yesNo(true), sectorNames[q.sector]
	})
	if err != nil {
		return err
	}
	s.point(s.T("demo.private-label", batch, n, batch-n))
	s.figure(s.T("demo.figure-verify", batch), "%.2f s", r.took.Seconds())
	return s.traffic(r.errOut)
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// traffic takes the bytes of the lookups from what --explain printed.
func (s *story) traffic(explained string) error {
	for _, line := range strings.Split(explained, "\n") {
		f := strings.Fields(line)
		if len(f) >= 6 && f[0] == "Lookup" {
			s.figure(s.T("demo.figure-traffic", batch), "%s", s.T("demo.value-traffic", f[2], f[3], f[4], f[5]))
			return nil
		}
	}
	return expect(false, "--explain did not say what the lookups sent")
}

func (s *story) refusals(ctx context.Context) error {
	s.act(s.T("demo.refusals"))
	ask := "verify --product " + labelProduct + " --in out/customers.csv --out out/none.csv --purpose "
	r, err := s.run(ctx, 1, s.as(ask+"public-governance"))
	if err != nil {
		return err
	}
	if err := expect(strings.Contains(r.errOut, "PURPOSE_"), "a purpose that nobody granted was refused for another reason"); err != nil {
		return err
	}
	// 250 identifiers a month: the first 100 are used, 100 more fit, a third 100 do not.
	for i, code := range []int{0, 1} {
		name := fmt.Sprintf("more-%d.csv", i+1)
		if err := s.writeSheet(name, s.questions(30*(i+1), batch)); err != nil {
			return err
		}
		r, err = s.run(ctx, code, s.as("verify --product "+labelProduct+" --purpose industry --in out/"+name+" --out out/answers-"+name))
		if err != nil {
			return err
		}
	}
	if err := expect(strings.Contains(r.errOut, "QUOTA_EXHAUSTED"), "an exhausted quota was refused for another reason"); err != nil {
		return err
	}
	s.point(s.T("demo.refusals-point"))
	return nil
}

// retry is a client that dies between paying and the answer.
func (s *story) retry(ctx context.Context) error {
	s.act(s.T("demo.retry"))
	qs := s.questions(7, 80)
	if err := s.writeSheet("relief.csv", qs); err != nil {
		return err
	}
	line := s.as("verify --product " + labelProduct + " --purpose public-welfare --in out/relief.csv --out out/relief-answers.csv")
	dying, die := context.WithCancel(ctx)
	defer die()
	if _, err := s.runWith(dying, 1, line, Command{Watch: func(int64, int64) { die() }}); ctx.Err() != nil || dying.Err() == nil {
		return fmt.Errorf("%w: the client was not interrupted: %w", ErrDeviates, err)
	}
	s.point(s.T("demo.retry-died"))
	if _, err := s.run(ctx, 0, line); err != nil {
		return err
	}
	_, err := s.checkAnswers("relief-answers.csv", qs, func(q question) (string, string) {
		if !q.present {
			return yesNo(false), ""
		}
		return yesNo(true), sectorNames[q.sector]
	})
	if err != nil {
		return err
	}
	r, err := s.run(ctx, 0, "log -d domain --since "+fees.Day(s.began)+" --product "+labelProduct)
	if err != nil {
		return err
	}
	n := strings.Count(r.out, labelProduct+" "+s.Word("public-welfare"))
	if err := expect(n == 1, "the interrupted job is in the ledger %d times", n); err != nil {
		return err
	}
	s.point(s.T("demo.retry-point"))
	return nil
}

// sectorNames are the bands of the sample's product, by NAICS sector.
var sectorNames = map[string]string{
	"11": "Agriculture", "21": "Mining", "22": "Utilities", "23": "Construction",
	"31": "Manufacturing", "32": "Manufacturing", "33": "Manufacturing", "42": "Wholesale trade",
	"44": "Retail trade", "45": "Retail trade", "48": "Transport and warehousing", "49": "Transport and warehousing",
	"51": "Information", "52": "Finance and insurance", "53": "Real estate and leasing", "54": "Professional services",
	"55": "Management of companies", "56": "Administrative services", "61": "Education", "62": "Health and social care",
	"71": "Arts and recreation", "72": "Accommodation and food", "81": "Other services", "92": "Public administration",
}
