package gateway

import _ "github.com/yingbi/yingbi/enclave/sealed"
