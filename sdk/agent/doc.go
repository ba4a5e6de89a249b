// Package agent lets programs in any language use a yingbi 影壁 gateway: a
// daemon on the enterprise's own machine takes plaintext REST with JSON on
// loopback, does the cryptography with package sdk, and talks to the gateway.
//
// # What it promises
//
//   - Identifiers, claims and answers stay on the machine: what goes on to the
//     gateway is what package sdk sends.
//   - Only a program that holds the token is served, and only over loopback:
//     the address is refused otherwise, and so is a request that names another
//     host (a web page that had its own name point to 127.0.0.1) or that a
//     browser sends for a page.
//   - A verification whose answer could not be written to the program is kept:
//     the same request gives the same answer again and costs nothing. With
//     "keep" it is kept until the program says that it has stored the answer.
//   - Every refusal is an RFC 9457 problem with yingbi's stable reason.
//
// # What it does not
//
// Whoever can read the token file or the agent's memory is the enterprise.
// Loopback traffic is not encrypted: a machine with users who do not trust one
// another needs one agent, and one token file, a user. It keeps no answers.
//
// The interface is described by [OpenAPI], which the agent serves at
// /v1/openapi.yaml and a test holds every answer to. Programs that use it are
// in sdk/examples.
package agent
