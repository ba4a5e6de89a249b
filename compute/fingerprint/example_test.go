package fingerprint_test

import (
	"fmt"
	"log"

	"github.com/yingbi/yingbi/compute/fingerprint"
)

// Licences by district, rounded to multiples of 5 for each of three enterprises.
// A part of one's copy turns up.
func Example() {
	key := [32]byte{1} // of 32 random bytes, from the keyring
	released := make([]int64, 100)
	for district := range released {
		released[district] = 7 * int64(district*district) % 1000
	}

	// What an enterprise is given, whenever it asks.
	marker, err := fingerprint.New(&key, "licences/3", "91110000100000001K")
	if err != nil {
		log.Fatal(err)
	}
	defer marker.Zero()
	licences, err := marker.Measure("licences", 5)
	if err != nil {
		log.Fatal(err)
	}
	delivered := make([]int64, len(released))
	if err := licences.Cells(delivered, released, 0); err != nil {
		log.Fatal(err)
	}
	fmt.Println(released[10:16], "became", delivered[10:16])

	// What somebody found.
	var leaked []fingerprint.Cell
	for district := 20; district < 90; district++ {
		leaked = append(leaked, fingerprint.Cell{Cell: int64(district), Value: delivered[district]})
	}
	report, err := fingerprint.Trace(&key, "licences/3",
		[]string{"91110000100000003E", "91110000100000001K", "91110000100000002G"},
		[]fingerprint.Column{{
			Measure:  "licences",
			Base:     5,
			Released: func(cell int64) (int64, bool) { return released[cell], true },
			Leaked:   leaked,
		}}, 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: of %d marked cells %.0f agree by chance\n", report.Verdict, report.Marked, report.Expected)
	for _, s := range report.Recipients {
		fmt.Printf("%s agrees with %d: %.1g\n", s.Recipient, s.Agreements, s.False)
	}
	// Output:
	// [700 847 8 183 372 575] became [700 850 5 185 370 575]
	// accused: of 56 marked cells 28 agree by chance
	// 91110000100000001K agrees with 56: 3e-17
	// 91110000100000002G agrees with 33: 1
	// 91110000100000003E agrees with 31: 1
}
