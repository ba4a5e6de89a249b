package main

import (
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/enclave"
)

func (e *env) doctorCommand() *cobra.Command {
	var f domainFlags
	var deep, asJSON bool
	cmd := &cobra.Command{
		Use: "doctor", Short: text.T("doctor.short"), Long: text.T("doctor.long"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			unlock, err := f.unlock(e, false)
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
	cmd.Flags().BoolVar(&deep, "deep", false, text.T("flag.deep"))
	cmd.Flags().BoolVar(&asJSON, "json", false, text.T("flag.json-document"))
	return cmd
}

func (e *env) printDiagnoses(found []enclave.Diagnosis, faults int) {
	severities := map[enclave.Severity]string{
		enclave.Fine: text.T("doctor.ok"), enclave.Warning: text.T("doctor.warning"), enclave.Fault: text.T("doctor.fault"),
	}
	var rows []table.Row
	for _, d := range found {
		rows = append(rows, table.Row{severities[d.Severity], d.Check, finding(d)})
	}
	e.table(e.stdout, table.Row{"", text.T("doctor.check"), text.T("doctor.found")}, rows)
	told := map[enclave.Check]bool{}
	for _, d := range found {
		if d.Severity != enclave.Fine && !told[d.Check] {
			told[d.Check] = true
			e.say(string(d.Check) + ": " + treatment(d))
		}
	}
	if faults == 0 {
		e.note(text.T("doctor.clean"))
		return
	}
	e.note(text.T("doctor.faults", faults))
}

// finding says what a check found.
func finding(d enclave.Diagnosis) string {
	if d.Cause != "" {
		return text.T("doctor.cause", d.Subject, d.Cause)
	}
	n := d.Numbers
	switch d.Check {
	case enclave.CheckConfig:
		return text.T("doctor.config", d.Subject)
	case enclave.CheckFolder:
		return text.T("doctor.folder", d.Subject, n[0])
	case enclave.CheckDisk:
		return text.T("doctor.disk", bytesText(n[0]), bytesText(n[1]))
	case enclave.CheckKeyring:
		return text.T("doctor.keyring", d.Subject)
	case enclave.CheckDatabase:
		if n[1] > 0 {
			return text.T("doctor.database-size", d.Subject, n[0], bytesText(n[1]))
		}
		return text.T("doctor.database", d.Subject, n[0])
	case enclave.CheckIntegrity:
		return text.T("doctor.integrity", d.Subject)
	case enclave.CheckCheckpoint:
		return text.T("doctor.checkpoint", d.Subject, n[0])
	case enclave.CheckClock:
		if n[0] > 0 {
			return text.T("doctor.clock-behind", time.Duration(n[0]).Round(time.Millisecond))
		}
		return text.T("doctor.clock")
	case enclave.CheckTime:
		if n[0] == 0 {
			return text.T("doctor.time-not")
		}
		return text.T("doctor.time")
	case enclave.CheckCertificate:
		if d.Severity == enclave.Fault {
			return text.T("doctor.certificate-ended", d.Subject)
		}
		return text.T("doctor.certificate", d.Subject, n[0])
	case enclave.CheckTable:
		return text.T("doctor.table", d.Subject, bytesText(n[0]), n[1])
	case enclave.CheckMemory:
		return text.T("doctor.memory", bytesText(n[0]), bytesText(n[1]))
	case enclave.CheckFiles:
		return text.T("doctor.files", n[0])
	case enclave.CheckProcessor:
		return text.T("doctor.processor", d.Subject, n[0])
	case enclave.CheckProduct:
		return text.T("doctor.product", d.Subject)
	}
	return d.Subject
}

// treatment says what to do about what a check found.
func treatment(d enclave.Diagnosis) string {
	switch d.Check {
	case enclave.CheckConfig:
		return text.T("doctor.config-do")
	case enclave.CheckFolder:
		if d.Severity == enclave.Fault {
			return text.T("doctor.folder-fault-do")
		}
		return text.T("doctor.folder-do")
	case enclave.CheckDisk:
		return text.T("doctor.disk-do")
	case enclave.CheckKeyring:
		return text.T("doctor.keyring-do")
	case enclave.CheckDatabase:
		return text.T("doctor.database-do")
	case enclave.CheckIntegrity:
		return text.T("doctor.integrity-do")
	case enclave.CheckCheckpoint:
		return text.T("doctor.checkpoint-do")
	case enclave.CheckClock:
		return text.T("doctor.clock-do")
	case enclave.CheckTime:
		return text.T("doctor.time-do")
	case enclave.CheckCertificate:
		return text.T("doctor.certificate-do")
	case enclave.CheckTable:
		return text.T("doctor.table-do")
	case enclave.CheckMemory:
		return text.T("doctor.memory-do")
	case enclave.CheckFiles:
		return text.T("doctor.files-do")
	case enclave.CheckProduct:
		return text.T("doctor.product-do")
	}
	return ""
}
