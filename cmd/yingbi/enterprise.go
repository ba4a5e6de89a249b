package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// clientFlags are the flags of every command that calls a gateway.
type clientFlags struct{ identity, gateway string }

func (f *clientFlags) bind(cmd *cobra.Command, e *env) {
	cmd.Flags().StringVar(&f.identity, "identity", e.getenv("YINGBI_IDENTITY"), e.T("flag.identity"))
	cmd.Flags().StringVar(&f.gateway, "gateway", e.getenv("YINGBI_GATEWAY"), e.T("flag.gateway"))
}

// dial connects as the identity, to the gateway named or the one that the
// operator's enrolment names.
func (f *clientFlags) dial(e *env) (*sdk.Client, error) {
	if f.identity == "" {
		return nil, usage(text.E("error.no-identity"))
	}
	id, err := sdk.LoadIdentity(f.identity)
	if err != nil {
		return nil, err
	}
	enrolment, err := id.Enrolment()
	if err != nil {
		return nil, err
	}
	target := f.gateway
	if target == "" {
		target = enrolment.Gateway
	}
	if target == "" {
		return nil, usage(text.E("error.no-gateway"))
	}
	return sdk.Dial(target, id, sdk.WithClock(e.clock))
}

func (e *env) productsCommand() *cobra.Command {
	var client clientFlags
	var mine bool
	cmd := &cobra.Command{
		Use: "products [--mine]", Short: e.T("products.short"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := client.dial(e)
			if err != nil {
				return err
			}
			defer c.Close()
			products, err := c.Products(cmd.Context(), mine)
			if err != nil {
				return err
			}
			if len(products) == 0 {
				e.note(e.T("products.none"))
				return nil
			}
			for _, p := range products {
				e.printProduct(p)
			}
			return nil
		},
	}
	client.bind(cmd, e)
	cmd.Flags().BoolVar(&mine, "mine", false, e.T("flag.mine"))
	return cmd
}

func (e *env) printProduct(p sdk.Product) {
	e.say(e.T("products.head", p.ID, e.title(p.Title)))
	e.say(e.T("products.asks", e.askedBy(p)))
	if p.Aggregate != nil {
		e.printReleased(p)
	} else {
		e.say(e.T("products.data", p.ResourceTitle, p.Records, e.Word(p.Grade), e.Word(p.UpdateCycle)))
	}
	if p.Sandbox {
		e.say(e.T("products.free"))
		return
	}
	for _, price := range p.Prices {
		s := e.T("products.price", price.GetUnitPrice(), e.Word(price.GetBasis()))
		if price.GetTrial() {
			s = e.T("products.price-trial", s)
		}
		e.say(s)
	}
	for _, g := range p.Grants {
		e.say(e.T("products.grant", g.GetGrant(), e.words(g.GetPurposes()), g.GetUntil()))
		for _, q := range g.GetQuotas() {
			e.say(e.T("products.quota", q.GetLimit()-q.GetUsed(), q.GetLimit(), e.Word(q.GetUnit()), e.Word(q.GetPer())))
		}
	}
}

// askedBy says what a product takes and gives: account_number → sector.
func (e *env) askedBy(p sdk.Product) string {
	switch {
	case p.Aggregate != nil:
		return e.asksCells(p.Aggregate)
	case p.Verify == nil:
		return e.Word(p.Type)
	}
	fields := append(append([]string{}, p.Verify.Keys...), p.Verify.Claims...)
	gives := e.T("products.yes-no")
	if len(p.Verify.Labels) > 0 {
		var labels []string
		for _, l := range p.Verify.Labels {
			labels = append(labels, l.Column)
		}
		gives = strings.Join(labels, ", ")
	}
	return e.T("products.takes-gives", strings.Join(fields, " + "), gives)
}

func (e *env) quoteCommand() *cobra.Command {
	var client clientFlags
	var product, purpose, grant string
	var units int64
	cmd := &cobra.Command{
		Use: "quote --product P --purpose U --units N", Short: e.T("quote.short"), Long: e.T("quote.long"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if product == "" || purpose == "" || units < 1 {
				return usage(text.E("quote.what"))
			}
			if err := checkPurpose(purpose); err != nil {
				return err
			}
			c, err := client.dial(e)
			if err != nil {
				return err
			}
			defer c.Close()
			q, err := c.Quote(cmd.Context(), product, vocabulary.Purpose(purpose), grant, units)
			if err != nil {
				return err
			}
			e.printQuote(q)
			if !q.GetAdmitted() {
				return errFinding
			}
			return nil
		},
	}
	client.bind(cmd, e)
	e.bindAsk(cmd, &product, &purpose, &grant)
	cmd.Flags().Int64Var(&units, "units", 0, e.T("flag.units"))
	return cmd
}

// checkPurpose refuses a purpose that is none of the law's three.
func checkPurpose(purpose string) error {
	if !slices.Contains(vocabulary.Purposes, vocabulary.Purpose(purpose)) {
		return usage(text.E("error.purpose", purpose))
	}
	return nil
}

// bindAsk binds the flags that say what is asked, for what, under which grant.
func (e *env) bindAsk(cmd *cobra.Command, product, purpose, grant *string) {
	cmd.Flags().StringVar(product, "product", "", e.T("flag.product"))
	cmd.Flags().StringVar(purpose, "purpose", "", e.T("flag.purpose"))
	cmd.Flags().StringVar(grant, "grant", "", e.T("flag.grant"))
}

func (e *env) printQuote(q *pb.QuoteResponse) {
	if !q.GetAdmitted() {
		e.say(e.T("quote.refused", e.reason(q.GetReason()), e.Word(q.GetRule())))
		if does := e.advice(ledger.Reason(q.GetReason())); does != "" {
			e.note(e.T("explain.next", does))
		}
		return
	}
	if q.GetGrant() == "" {
		e.say(e.T("quote.admitted-open"))
	} else {
		e.say(e.T("quote.admitted", q.GetGrant()))
	}
	if q.GetGround() != "" {
		e.say(e.T("quote.free", e.Word(q.GetGround())))
	} else {
		e.say(e.T("quote.price", q.GetPrice().GetUnitPrice(), e.Word(q.GetPrice().GetBasis()), q.GetPrice().GetTariff(), q.GetAmount(), q.GetCharge()))
	}
	for _, u := range q.GetQuotas() {
		e.say(e.T("quote.quota", u.GetLimit()-u.GetUsed(), u.GetLimit(), e.Word(u.GetUnit()), e.Word(u.GetPer())))
	}
	e.say(e.T("quote.size", q.GetJobs(), bytesText(q.GetBytesUp()), bytesText(q.GetBytesDown()), time.Duration(q.GetNanos()).Round(time.Millisecond)))
}

// bytesText writes a number of bytes for people, in powers of ten.
func bytesText(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1000_000:
		return fmt.Sprintf("%.1f KB", float64(n)/1e3)
	case n < 1000_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.2f GB", float64(n)/1e9)
}

func (e *env) receiptCommand() *cobra.Command {
	var client clientFlags
	cmd := &cobra.Command{
		Use: "receipt JOB", Short: e.T("receipt.short"), Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if id, err := uuid.Parse(args[0]); err != nil || id.String() != args[0] {
				return usage(text.E("receipt.job", args[0]))
			}
			c, err := client.dial(e)
			if err != nil {
				return err
			}
			defer c.Close()
			return e.printReceipt(cmd.Context(), c, args[0])
		},
	}
	client.bind(cmd, e)
	return cmd
}

func (e *env) printReceipt(ctx context.Context, c *sdk.Client, job string) error {
	receipt, entry, err := c.Receipt(ctx, job)
	if err != nil {
		return err
	}
	encoded, err := receipt.Encode()
	if err != nil {
		return err
	}
	e.say(string(encoded))
	call := entry.TheCall()
	e.note(e.T("receipt.says", entry.Seq, call.Header.Product, call.Usage.Units, call.Price.Amount, entryTime(entry)))
	return nil
}

func entryTime(entry *ledger.Entry) string { return entry.Time.Format(time.RFC3339) }
