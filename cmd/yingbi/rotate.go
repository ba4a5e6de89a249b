package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/policy/fees"
)

func (e *env) rotateCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "rotate", Short: e.T("rotate.short"), Long: e.T("rotate.long"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(e.rotateWrappingCommand(), e.rotateColumnsCommand(), e.rotateOPRFCommand(), e.rotateLedgerCommand(), e.rotateCertificateCommand())
	return cmd
}

func (e *env) rotateWrappingCommand() *cobra.Command {
	var destroyOld bool
	cmd := e.domainCommand(&cobra.Command{Use: "wrapping", Short: e.T("rotate.wrapping.short"), Long: e.T("rotate.wrapping.long"), Args: cobra.NoArgs},
		func(cmd *cobra.Command, d *enclave.Domain, _ []string) error {
			r, err := d.RotateWrapping(cmd.Context(), destroyOld)
			if err != nil {
				return err
			}
			e.say(e.T("rotate.wrapping.done", r.Version, r.Keys, r.Seq))
			if destroyOld {
				e.say(e.T("rotate.wrapping.destroyed", r.Destroyed))
				e.note(e.T("shred.backups"))
			} else {
				e.note(e.T("rotate.wrapping.kept"))
			}
			return nil
		})
	cmd.Flags().BoolVar(&destroyOld, "destroy-old", false, e.T("flag.destroy-old"))
	return cmd
}

func (e *env) rotateColumnsCommand() *cobra.Command {
	return e.domainCommand(&cobra.Command{Use: "columns RESOURCE", Short: e.T("rotate.columns.short"), Long: e.T("rotate.columns.long"), Args: cobra.ExactArgs(1)},
		func(cmd *cobra.Command, d *enclave.Domain, args []string) error {
			bar := &progress{e: e}
			done, err := d.RotateColumns(cmd.Context(), args[0], bar.set)
			bar.finish()
			if err != nil {
				return err
			}
			e.say(e.T("rotate.columns.done", args[0], done.Entry.Version, done.Entry.Rows, len(done.Entry.Columns), done.Seq))
			return nil
		})
}

func (e *env) rotateOPRFCommand() *cobra.Command {
	var retire, dryRun bool
	cmd := e.domainCommand(&cobra.Command{Use: "oprf [PRODUCT]", Short: e.T("rotate.oprf.short"), Long: e.T("rotate.oprf.long"), Args: cobra.MaximumNArgs(1)},
		func(cmd *cobra.Command, d *enclave.Domain, args []string) error {
			product := ""
			if len(args) == 1 {
				product = args[0]
			}
			if retire {
				return e.retireKeys(cmd, d, product, dryRun)
			}
			if product == "" {
				return usage(text.E("rotate.oprf.which"))
			}
			if dryRun {
				return usage(text.E("rotate.oprf.dry-run", product))
			}
			bar := &progress{e: e}
			r, err := d.RotateOPRF(cmd.Context(), product, bar.set)
			bar.finish()
			if err != nil {
				return err
			}
			e.say(e.T("rotate.oprf.done", product, r.Descriptor.Epoch, r.Descriptor.Population, r.Seq))
			if !r.Until.IsZero() {
				e.say(e.T("rotate.oprf.until", r.Before, r.Until.In(fees.CST).Format("2006-01-02 15:04:05 MST")))
				e.note(e.T("rotate.oprf.next", product))
			}
			return nil
		})
	cmd.Flags().BoolVar(&retire, "retire-ended", false, e.T("flag.retire-ended"))
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, e.T("flag.dry-run-retire"))
	return cmd
}

func (e *env) retireKeys(cmd *cobra.Command, d *enclave.Domain, product string, dryRun bool) error {
	gone, err := d.RetireKeys(cmd.Context(), product, dryRun)
	if err != nil {
		return err
	}
	for _, k := range gone {
		if dryRun {
			e.say(e.T("rotate.retire.would", k.Product, k.Epoch))
		} else {
			e.say(e.T("rotate.retire.done", k.Product, k.Epoch, k.Seq))
		}
	}
	if len(gone) == 0 {
		e.say(e.T("rotate.retire.none"))
	}
	return nil
}

func (e *env) rotateLedgerCommand() *cobra.Command {
	return e.domainCommand(&cobra.Command{Use: "ledger", Short: e.T("rotate.ledger.short"), Long: e.T("rotate.ledger.long"), Args: cobra.NoArgs},
		func(cmd *cobra.Command, d *enclave.Domain, _ []string) error {
			seq, err := d.RotateLedger(cmd.Context())
			if err != nil {
				return err
			}
			e.say(e.T("rotate.ledger.done", seq))
			vkey, err := d.CurrentVKey(cmd.Context())
			if err != nil {
				return err
			}
			e.say(e.T("init.vkey", vkey))
			return nil
		})
}

func (e *env) rotateCertificateCommand() *cobra.Command {
	return e.domainCommand(&cobra.Command{Use: "certificate", Short: e.T("rotate.certificate.short"), Long: e.T("rotate.certificate.long"), Args: cobra.NoArgs},
		func(cmd *cobra.Command, d *enclave.Domain, _ []string) error {
			rotated, err := d.RotateCertificates(cmd.Context())
			for _, r := range rotated {
				e.say(e.T("rotate.certificate.done", r.File, r.Key, r.Ends.UTC().Format(time.DateOnly), r.Seq))
			}
			return err
		})
}

// domainCommand is a command that opens the domain for what it does.
func (e *env) domainCommand(cmd *cobra.Command, run func(cmd *cobra.Command, d *enclave.Domain, args []string) error) *cobra.Command {
	var f domainFlags
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		d, err := e.open(cmd.Context(), &f)
		if err != nil {
			return err
		}
		defer d.Close()
		return run(cmd, d, args)
	}
	f.bind(cmd, e)
	return cmd
}
