package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/release"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk"
)

func (e *env) importCommand() *cobra.Command {
	var f domainFlags
	cmd := &cobra.Command{
		Use: "import RESOURCE FILE.csv", Short: e.T("import.short"), Long: e.T("import.long"), Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := e.open(cmd.Context(), &f)
			if err != nil {
				return err
			}
			defer d.Close()
			bar := &progress{e: e}
			done, err := d.Import(cmd.Context(), args[0], args[1], bar.set)
			bar.finish()
			if err != nil {
				return err
			}
			e.say(e.T("import.sealed", args[0], done.Entry.Version, done.Entry.Rows, done.Seq))
			var rows []table.Row
			for _, c := range done.Entry.Columns {
				rows = append(rows, table.Row{c.Name, c.Present, percent(c.Present, done.Entry.Rows), c.Distinct})
			}
			e.table(e.stdout, table.Row{e.T("import.column"), e.T("import.present"), e.T("import.complete"), e.T("import.distinct")}, rows)
			return nil
		},
	}
	f.bind(cmd, e)
	return cmd
}

func percent(part, whole int64) string {
	if whole == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f%%", 100*float64(part)/float64(whole))
}

func (e *env) reviewCommand() *cobra.Command {
	var f domainFlags
	var identity string
	cmd := &cobra.Command{
		Use: "review PRODUCT --identity DIR", Short: e.T("review.short"), Long: e.T("review.long"), Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if identity == "" {
				return usage(text.E("error.no-identity"))
			}
			id, err := sdk.LoadIdentity(identity)
			if err != nil {
				return err
			}
			defer id.Zero()
			d, err := e.open(cmd.Context(), &f)
			if err != nil {
				return err
			}
			defer d.Close()
			newest, err := d.Newest(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			e.printRelease(newest.Doc)
			seq, err := d.Review(cmd.Context(), ledger.Review{
				Product: args[0], Digest: newest.Digest, Signature: id.Endorse(ledger.ContextReview, newest.Document),
			})
			if err != nil {
				return err
			}
			e.say(e.T("review.reviewed", args[0], id.Subject.URI(), seq, newest.Digest))
			return nil
		},
	}
	f.bind(cmd, e)
	cmd.Flags().StringVar(&identity, "identity", e.getenv("YINGBI_IDENTITY"), e.T("flag.identity"))
	return cmd
}

// printRelease shows a reviewer what the product would release, and to whom.
func (e *env) printRelease(p *vocabulary.Product) {
	e.say(e.T("review.product", p.ID, e.title(p.Title)))
	e.say(e.T("review.columns", strings.Join(p.Release.Columns, ", ")))
	if p.Aggregate != nil {
		e.printAggregate(p.Aggregate)
	}
	if p.Verify != nil {
		e.say(e.T("review.asks", e.askedBy(sdk.Product{Product: p})))
		if p.Verify.Answer == "label" {
			e.say(e.T("review.label-bits", p.Release.MaxLabelBits, p.Verify.LabelBytes))
		}
	}
	if share := p.Release.MaxShare; share.Fraction != "" {
		e.say(e.T("review.share", share.Fraction, e.Word(share.Per)))
	}
	for _, purpose := range vocabulary.Purposes {
		if basis, ok := p.LegalBasis[purpose]; ok {
			e.say(e.T("review.basis", e.Word(purpose), e.title(basis)))
		}
	}
}

func (e *env) publishCommand() *cobra.Command {
	var f domainFlags
	var o enclave.PublishOptions
	cmd := &cobra.Command{
		Use: "publish PRODUCT", Short: e.T("publish.short"), Long: e.T("publish.long"), Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := e.open(cmd.Context(), &f)
			if err != nil {
				return err
			}
			defer d.Close()
			bar := &progress{e: e}
			o.Progress = bar.set
			began := e.clock()
			done, err := d.Publish(cmd.Context(), args[0], o)
			bar.finish()
			var refused *release.RefusedError
			if errors.As(err, &refused) && done != nil && done.Plan != nil {
				e.printPlan(done.Plan)
			}
			if err != nil {
				return err
			}
			if o.DryRun {
				e.say(e.T("publish.plan", args[0]))
				if done.CellsPlan != nil {
					e.printCells(done)
					return nil
				}
				e.printPlan(done.Plan)
				if err := done.Plan.Err(); err != nil {
					return err
				}
				return nil
			}
			if c := done.Cells; c != nil {
				e.say(e.T("publish.cells-published", args[0], c.Epoch, c.Cells, e.regime(c.Regime), done.Seq, e.clock().Sub(began).Round(10*time.Millisecond)))
				e.printCells(done)
				return nil
			}
			desc := done.Descriptor
			e.say(e.T("publish.published", args[0], desc.Epoch, desc.Version, desc.Population, done.Seq, e.clock().Sub(began).Round(10*time.Millisecond)))
			e.say(e.T("publish.table", desc.Lattice.Columns, desc.Lattice.Rows, bytesText(int64(desc.Lattice.QueryBytes)), bytesText(int64(desc.Lattice.AnswerBytes))))
			return nil
		},
	}
	f.bind(cmd, e)
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, e.T("flag.dry-run-publish"))
	cmd.Flags().BoolVar(&o.Mix, "mix", false, e.T("flag.mix"))
	cmd.Flags().BoolVar(&o.NewEpoch, "new-epoch", false, e.T("flag.new-epoch"))
	return cmd
}

func (e *env) printPlan(p *release.Plan) {
	e.say(e.T("publish.rows", p.Records, p.Rows, p.Skipped))
	if p.MaxLabelBits > 0 {
		e.say(e.T("publish.label-bits", p.LabelBits, p.DistinctLabels, p.MaxLabelBits))
	}
	e.say(e.T("publish.shape", p.Columns, p.ColumnBytes, p.Slots, 100*p.Fill))
	e.say(e.T("publish.bytes", bytesText(p.FileBytes), bytesText(int64(p.QueryBytes)), bytesText(int64(p.AnswerBytes)), bytesText(int64(p.PublicBytes))))
	e.say(e.T("publish.memory", bytesText(p.MemoryBytes)))
	e.say(e.T("publish.time", p.Time.Round(10*time.Millisecond)))
}
