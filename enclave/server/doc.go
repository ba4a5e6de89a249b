// Package server is the edge of the domain: gRPC over mutual TLS 1.3.
//
// It establishes who is calling (the URI SAN of the client certificate, under
// the domain's own CA), bounds what a caller can make the process hold
// (connections and calls of one identity, bytes of messages before they are
// read, seconds that a request takes to come and an answer to be taken, seconds
// of a call), hands the request
// to the gateway, and turns the gateway's typed errors into google.rpc.Status
// with ErrorInfo (domain "yingbi"), a message in English and in Chinese, and a
// retry hint where there is one.
//
// It decides nothing. It promises that nothing of the inside leaves with an
// error: no path, no stack, no raw value, no text of an error that it does not
// know. A panic in a handler ends that call with INTERNAL and no other.
package server
