package main

import (
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/yingbi/yingbi/enclave"
)

func (e *env) doctorCommand() *cobra.Command {
	var f domainFlags
	var deep, asJSON bool
	cmd := &cobra.Command{
		Use: "doctor", Short: e.T("doctor.short"), Long: e.T("doctor.long"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			unlock, err := f.unlockDomain(e)
			if err != nil {
				return err
			}
			defer unlock.Clear()
			found := enclave.Examine(cmd.Context(), f.dir, unlock, enclave.Options{Clock: e.clock}, deep)
			faults := 0
			for _, d := range found {
				if d.Severity == enclave.Fault {
					faults++
				}
			}
			if asJSON {
				err = e.printJSON(found)
			} else {
				e.printDiagnoses(found, faults)
			}
			if err == nil && faults > 0 {
				err = errFinding
			}
			return err
		},
	}
	f.bind(cmd, e)
	cmd.Flags().BoolVar(&deep, "deep", false, e.T("flag.deep"))
	cmd.Flags().BoolVar(&asJSON, "json", false, e.T("flag.json-document"))
	return cmd
}

func (e *env) printDiagnoses(found []enclave.Diagnosis, faults int) {
	severities := map[enclave.Severity]string{
		enclave.Fine: e.T("doctor.ok"), enclave.Warning: e.T("doctor.warning"), enclave.Fault: e.T("doctor.fault"),
	}
	var rows []table.Row
	for _, d := range found {
		rows = append(rows, table.Row{severities[d.Severity], e.Word(d.Check), e.finding(d)})
	}
	e.table(e.stdout, table.Row{"", e.T("doctor.check"), e.T("doctor.found")}, rows)
	told := map[enclave.Check]bool{}
	for _, d := range found {
		if d.Severity != enclave.Fine && !told[d.Check] {
			told[d.Check] = true
			e.say(e.Word(d.Check) + ": " + e.treatment(d))
		}
	}
	if faults == 0 {
		e.note(e.T("doctor.clean"))
		return
	}
	e.note(e.T("doctor.faults", faults))
}

// finding says what a check found.
func (e *env) finding(d enclave.Diagnosis) string {
	if d.Cause != "" {
		return e.T("doctor.cause", d.Subject, e.Phrase(d.Cause))
	}
	n := d.Numbers
	switch d.Check {
	case enclave.CheckConfig:
		return e.T("doctor.config", d.Subject)
	case enclave.CheckFolder:
		return e.T("doctor.folder", d.Subject, n[0])
	case enclave.CheckDisk:
		return e.T("doctor.disk", bytesText(n[0]), bytesText(n[1]))
	case enclave.CheckKeyring:
		return e.T("doctor.keyring", d.Subject)
	case enclave.CheckVault:
		if n[0] < 0 {
			return e.T("doctor.vault", d.Subject, n[1])
		}
		return e.T("doctor.vault-token", d.Subject, n[1], time.Duration(n[0])*time.Second)
	case enclave.CheckDatabase:
		if n[1] > 0 {
			return e.T("doctor.database-size", d.Subject, n[0], bytesText(n[1]))
		}
		return e.T("doctor.database", d.Subject, n[0])
	case enclave.CheckIntegrity:
		return e.T("doctor.integrity", d.Subject)
	case enclave.CheckCheckpoint:
		return e.T("doctor.checkpoint", d.Subject, n[0])
	case enclave.CheckClock:
		if n[0] > 0 {
			return e.T("doctor.clock-behind", time.Duration(n[0]).Round(time.Millisecond))
		}
		return e.T("doctor.clock")
	case enclave.CheckTime:
		if n[0] == 0 {
			return e.T("doctor.time-not")
		}
		return e.T("doctor.time")
	case enclave.CheckCertificate:
		if d.Severity == enclave.Fault {
			return e.T("doctor.certificate-ended", d.Subject)
		}
		return e.T("doctor.certificate", d.Subject, n[0])
	case enclave.CheckTable:
		return e.T("doctor.table", d.Subject, bytesText(n[0]), n[1])
	case enclave.CheckMemory:
		return e.T("doctor.memory", bytesText(n[0]), bytesText(n[1]))
	case enclave.CheckFiles:
		return e.T("doctor.files", n[0])
	case enclave.CheckProcessor:
		return e.T("doctor.processor", d.Subject, n[0])
	case enclave.CheckProduct:
		return e.T("doctor.product", d.Subject)
	}
	return d.Subject
}

// treatment says what to do about what a check found.
func (e *env) treatment(d enclave.Diagnosis) string {
	switch d.Check {
	case enclave.CheckConfig:
		return e.T("doctor.config-do")
	case enclave.CheckFolder:
		if d.Severity == enclave.Fault {
			return e.T("doctor.folder-fault-do")
		}
		return e.T("doctor.folder-do")
	case enclave.CheckDisk:
		return e.T("doctor.disk-do")
	case enclave.CheckKeyring:
		return e.T("doctor.keyring-do")
	case enclave.CheckVault:
		if d.Severity == enclave.Fault {
			return e.T("doctor.vault-fault-do")
		}
		return e.T("doctor.vault-do")
	case enclave.CheckDatabase:
		return e.T("doctor.database-do")
	case enclave.CheckServer:
		return e.T("doctor.server-do")
	case enclave.CheckIntegrity:
		return e.T("doctor.integrity-do")
	case enclave.CheckCheckpoint:
		return e.T("doctor.checkpoint-do")
	case enclave.CheckClock:
		return e.T("doctor.clock-do")
	case enclave.CheckTime:
		return e.T("doctor.time-do")
	case enclave.CheckCertificate:
		return e.T("doctor.certificate-do")
	case enclave.CheckTable:
		return e.T("doctor.table-do")
	case enclave.CheckMemory:
		return e.T("doctor.memory-do")
	case enclave.CheckFiles:
		return e.T("doctor.files-do")
	case enclave.CheckProduct:
		return e.T("doctor.product-do")
	}
	return ""
}
