package main

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/enclave"
)

func (e *env) shredCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "shred", Short: e.T("shred.short"), Long: e.T("shred.long"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(e.shredColumnCommand(), e.shredEpochCommand())
	return cmd
}

// shredFlags are of both shreds.
type shredFlags struct{ dryRun, yes bool }

func (f *shredFlags) bind(cmd *cobra.Command, e *env) {
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, e.T("flag.dry-run-shred"))
	cmd.Flags().BoolVar(&f.yes, "yes", false, e.T("flag.yes"))
}

func (e *env) shredColumnCommand() *cobra.Command {
	var f shredFlags
	cmd := e.domainCommand(&cobra.Command{Use: "column RESOURCE COLUMN", Short: e.T("shred.column.short"), Long: e.T("shred.column.long"), Args: cobra.ExactArgs(2)},
		func(cmd *cobra.Command, d *enclave.Domain, args []string) error {
			return e.shred(&f, args[0]+"/"+args[1], func(o enclave.ShredOptions) (*enclave.Shredding, error) {
				return d.ShredColumn(cmd.Context(), args[0], args[1], o)
			})
		})
	f.bind(cmd, e)
	return cmd
}

func (e *env) shredEpochCommand() *cobra.Command {
	var f shredFlags
	cmd := e.domainCommand(&cobra.Command{Use: "epoch PRODUCT EPOCH", Short: e.T("shred.epoch.short"), Long: e.T("shred.epoch.long"), Args: cobra.ExactArgs(2)},
		func(cmd *cobra.Command, d *enclave.Domain, args []string) error {
			epoch, err := strconv.Atoi(args[1])
			if err != nil || epoch < 1 {
				return usage(text.E("shred.epoch.number", args[1]))
			}
			return e.shred(&f, args[0]+"/"+strconv.Itoa(epoch), func(o enclave.ShredOptions) (*enclave.Shredding, error) {
				return d.ShredEpoch(cmd.Context(), args[0], epoch, o)
			})
		})
	f.bind(cmd, e)
	return cmd
}

// shred says what would be destroyed, asks, and destroys it.
func (e *env) shred(f *shredFlags, object string, do func(enclave.ShredOptions) (*enclave.Shredding, error)) error {
	plan, err := do(enclave.ShredOptions{DryRun: true})
	if err != nil {
		return err
	}
	if f.dryRun || !f.yes && !plan.Repeated {
		e.say(e.T("shred.would", object, plan.Keys))
		e.sayMadeOf(plan)
	}
	if f.dryRun {
		return nil
	}
	if !f.yes && !plan.Repeated {
		if err := e.confirm(object); err != nil {
			return err
		}
	}
	done, err := do(enclave.ShredOptions{})
	if err != nil {
		return err
	}
	if done.Repeated {
		e.say(e.T("shred.repeated", object, done.Seq, done.Keys))
	} else {
		e.say(e.T("shred.done", object, done.Keys, done.Seq))
	}
	if done.Wrapping > 0 {
		e.say(e.T("shred.wrapping", done.Rewrapped, done.Wrapping))
	}
	e.sayMadeOf(done)
	for _, path := range done.Keyrings {
		e.note(e.T("shred.keyring", path))
	}
	e.note(e.T("shred.backups"))
	return nil
}

func (e *env) sayMadeOf(s *enclave.Shredding) {
	for _, live := range s.Epochs {
		e.say(e.T("shred.made-of", live.Product, live.Epoch, live.Product, live.Epoch))
	}
}

// confirm has a person type the name of what is destroyed.
func (e *env) confirm(object string) error {
	e.note(e.T("shred.confirm", object))
	line, err := bufio.NewReader(io.LimitReader(e.stdin, 1024)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(line) != object {
		return usage(text.E("shred.unconfirmed", object))
	}
	return nil
}
