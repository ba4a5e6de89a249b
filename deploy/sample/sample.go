// Package sample is the demo's data and manifests as files of the binary, so
// that the demo runs wherever the binary does. README.md has their sources.
package sample

import "embed"

// Files are this folder's data and manifests.
//
//go:embed README.md licences.csv credit_default.csv sandbox.csv grants.yaml manifests aggregate
var Files embed.FS
