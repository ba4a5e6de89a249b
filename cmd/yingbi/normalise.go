package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"golang.org/x/text/unicode/norm"

	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/compute/oprf"
)

func (e *env) normaliseCommand() *cobra.Command {
	var client clientFlags
	var product string
	var explain bool
	cmd := &cobra.Command{
		Use: "normalise [VALUE...]", Aliases: []string{"normalize"}, Short: e.T("normalise.short"), Long: e.T("normalise.long"), Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, values []string) error {
			rule := oprf.RuleText
			if product != "" {
				var err error
				if rule, err = e.productRule(cmd.Context(), &client, product); err != nil {
					return err
				}
			}
			if len(values) == 0 {
				var err error
				if values, err = e.readValues(); err != nil {
					return err
				}
			}
			return e.normalise(rule, values, explain)
		},
	}
	client.bind(cmd, e)
	cmd.Flags().StringVar(&product, "product", "", e.T("flag.normalise-product"))
	cmd.Flags().BoolVar(&explain, "explain", false, e.T("flag.normalise-explain"))
	return cmd
}

// productRule asks the gateway for a product's rule. Nothing else is sent.
func (e *env) productRule(ctx context.Context, client *clientFlags, product string) (string, error) {
	c, err := client.dial(e)
	if err != nil {
		return "", err
	}
	defer c.Close()
	encoding, _, err := c.Normalise(ctx, product, nil)
	if err != nil {
		return "", err
	}
	e.note(e.T("normalise.rule", product, encoding.Rule, encoding.Unicode, strings.Join(encoding.Fields, ", ")))
	return encoding.Rule, nil
}

const maxValues = 1 << 20 // bytes of a line, and lines

// readValues reads a value a line.
func (e *env) readValues() ([]string, error) {
	var values []string
	lines := bufio.NewScanner(io.LimitReader(e.stdin, 64<<20))
	lines.Buffer(nil, maxValues)
	for lines.Scan() && len(values) < maxValues {
		values = append(values, lines.Text())
	}
	if err := lines.Err(); err != nil {
		return nil, text.E("normalise.read", err)
	}
	if len(values) == 0 {
		return nil, usage(text.E("normalise.what"))
	}
	return values, nil
}

// normalise shows how values are compared, and at the end which of them are the
// same.
func (e *env) normalise(rule string, values []string, explain bool) error {
	same, faults := map[string][]int{}, 0
	var order []string
	for i, value := range values {
		steps, normal, err := oprf.Explain(rule, value)
		if err == nil && normal == "" {
			err = oprf.ErrBlank
		}
		if err != nil {
			faults++
			e.say(e.T("normalise.fault", i+1, e.faultText(err, value)))
			continue
		}
		if same[normal] == nil {
			order = append(order, normal)
		}
		same[normal] = append(same[normal], i+1)
		e.say(normal)
		if explain {
			e.explainValue(value, normal, steps)
		}
	}
	if explain {
		for _, normal := range order {
			if at := same[normal]; len(at) > 1 {
				e.say(e.T("normalise.same", strings.Trim(strings.Join(strings.Fields(fmt.Sprint(at)), ", "), "[]"), normal))
			}
		}
		if len(order) > 1 {
			e.say(e.T("normalise.differ", len(order)))
		}
	}
	if faults > 0 {
		return text.E("normalise.faults", faults, len(values))
	}
	return nil
}

// stepText says what a step of the rule does.
func (e *env) stepText(name string) string {
	switch name {
	case oprf.StepDrop:
		return e.T("normalise.drop")
	case oprf.StepForm:
		return e.T("normalise.form")
	case oprf.StepUpper:
		return e.T("normalise.upper")
	case oprf.StepSpace:
		return e.T("normalise.space")
	}
	return name
}

func (e *env) explainValue(value, normal string, steps []oprf.Step) {
	rows := []table.Row{{"", e.T("normalise.given"), characters(value)}}
	for i, s := range steps {
		rows = append(rows, table.Row{i + 1, e.stepText(s.Name), characters(s.After)})
	}
	if len(steps) == 0 {
		rows = append(rows, table.Row{"", e.T("normalise.unchanged"), ""})
	}
	rows = append(rows, table.Row{"", e.T("normalise.bytes"), fmt.Sprintf("%d: %x", len(normal), clip([]byte(normal)))})
	e.table(e.stdout, table.Row{"", e.T("normalise.step"), e.T("normalise.becomes")}, rows)
	for _, l := range oprf.Lookalikes(normal) {
		if l.Like == 0 {
			e.say(e.T("normalise.private", l.At+1, fmt.Sprintf("U+%04X", l.Is)))
			continue
		}
		e.say(e.T("normalise.lookalike", l.At+1, string(l.Is), fmt.Sprintf("U+%04X", l.Is), string(l.Like)))
	}
}

const shownBytes = 64

func clip(b []byte) []byte { return slices.Clip(b[:min(len(b), shownBytes)]) }

// characters writes a text with its odd characters by number, so that what
// nobody can see is seen.
func characters(s string) string {
	var b strings.Builder
	shown := 0
	for _, r := range s {
		if shown++; shown > shownBytes {
			b.WriteString("…")
			break
		}
		if unicode.IsPrint(r) && norm.NFKC.String(string(r)) == string(r) {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, "<U+%04X>", r)
	}
	return "|" + b.String() + "|"
}
