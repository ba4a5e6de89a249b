package sdk_test

import (
	"context"
	"fmt"
	"log"

	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk"
)

func Example() {
	id, err := sdk.LoadIdentity("me")
	if err != nil {
		log.Fatal(err)
	}
	defer id.Zero()
	client, err := sdk.Dial("gateway.example:8443", id)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	result, err := client.Verify(context.Background(), "licence-sector", vocabulary.Industry, []sdk.Subject{
		{"city_account_number": "0000000420000099"},
	})
	if err != nil {
		log.Fatal(err) // what was settled is answered again for free by the same Verify
	}
	fmt.Println(result.Answers[0].Found, result.Answers[0].Labels["naics_sector"])
	fmt.Println(result.Entries[0].TheCall().Price.Amount)
}
