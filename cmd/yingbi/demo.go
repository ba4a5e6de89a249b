package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/yingbi/yingbi/cmd/internal/demo"
	"github.com/yingbi/yingbi/cmd/internal/text"
)

// The story asks for 300 identifiers, which the sample's product allows an
// enterprise of a population of ten times as many; the largest table fits the
// machine's memory and the sheet's account numbers.
const minRecords, maxRecords = 3000, 100_000_000

func (e *env) demoCommand() *cobra.Command {
	var keep string
	var records int
	cmd := &cobra.Command{
		Use: "demo", Short: e.T("demo.short"), Long: e.T("demo.long"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if records != 0 && (records < minRecords || records > maxRecords) {
				return usage(text.E("demo.records-range", minRecords, maxRecords))
			}
			return demo.Run(cmd.Context(), demo.Options{
				Lang: e.Lang, Run: e.within, Out: e.stdout, Clock: e.clock, Keep: keep, Records: records,
			})
		},
	}
	cmd.Flags().StringVar(&keep, "keep", "", e.T("flag.keep"))
	cmd.Flags().IntVar(&records, "records", 0, e.T("flag.records"))
	cmd.AddCommand(e.demoAggregateCommand())
	return cmd
}

func (e *env) demoAggregateCommand() *cobra.Command {
	var keep string
	cmd := &cobra.Command{
		Use: "aggregate", Short: e.T("demo.aggregate-short"), Long: e.T("demo.aggregate-long"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo.Run(cmd.Context(), demo.Options{
				Lang: e.Lang, Run: e.within, Out: e.stdout, Clock: e.clock, Keep: keep, Aggregate: true,
			})
		},
	}
	cmd.Flags().StringVar(&keep, "keep", "", e.T("flag.keep"))
	return cmd
}

// within runs one of the demo's command lines in this process: the demo's
// environment is its language and its flags alone, and nobody is there to ask.
func (e *env) within(ctx context.Context, c demo.Command) int {
	inner := &env{
		stdin: e.stdin, stdout: c.Stdout, stderr: c.Stderr, clock: e.clock,
		getenv: func(name string) string {
			if name == "YINGBI_LANG" {
				return e.Lang.String()
			}
			return ""
		},
		watch: c.Watch, ready: c.Ready,
	}
	return inner.run(ctx, c.Args)
}
