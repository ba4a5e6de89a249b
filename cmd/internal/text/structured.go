package text

import (
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk"
)

// structured renders, in Chinese, the errors that have parts of their own:
// reports of faults, a gateway's refusals, the operating system's errors.
func structured(err error) (string, bool) {
	switch e := err.(type) {
	case vocabulary.Faults:
		lines := make([]string, len(e))
		for i, f := range e {
			lines[i] = manifestFault(f)
		}
		return strings.Join(lines, "\n"), true
	case vocabulary.Fault:
		return manifestFault(e), true
	case *enclave.DataFaults:
		return dataFaults(e), true
	case *enclave.HeaderFaults:
		return headerFault(e), true
	case *sdk.Error:
		return refusal(e), true
	}
	return system(err)
}

// manifestFault is a fault of a manifest: where, what was got and expected,
// what to do.
func manifestFault(f vocabulary.Fault) string {
	var b strings.Builder
	if at := f.Position.String(); at != "" {
		b.WriteString(at + "：")
	}
	if f.Path != "" {
		b.WriteString(f.Path + "：")
	}
	b.WriteString("实为 " + Zh.Phrase(f.Got))
	if f.Expected != "" {
		b.WriteString("；应为 " + Zh.Phrase(f.Expected))
	}
	if f.Fix != "" {
		b.WriteString("；" + Zh.Phrase(f.Fix))
	}
	return b.String()
}

// faultKinds are the kinds of faults in data, sealed.FaultKind.
var faultKinds = map[string]string{
	"quoting":   "引号有误",
	"fields":    "字段数不符",
	"length":    "值过长",
	"encoding":  "非 UTF-8 编码",
	"empty":     "必填值缺失",
	"type":      "类型不符",
	"pattern":   "格式不符",
	"duplicate": "值重复",
}

func dataFaults(e *enclave.DataFaults) string {
	r := e.Report
	var b strings.Builder
	fmt.Fprintf(&b, "%s 的 %d 行中有 %d 处错误", r.Resource, r.Rows, r.Total())
	for _, kind := range slices.Sorted(maps.Keys(r.Counts)) {
		name, ok := faultKinds[string(kind)]
		if !ok {
			name = string(kind)
		}
		fmt.Fprintf(&b, "；%s：%d", name, r.Counts[kind])
	}
	if floor := r.BelowFloor(); floor != "" {
		fmt.Fprintf(&b, "；必填列的完整率低于 %s", floor)
	}
	b.WriteString("：未导入任何数据，请更正源数据后重新导入")
	for _, f := range r.Faults {
		fmt.Fprintf(&b, "\n  第 %d 行（数据第 %d 行）", f.Line, f.Row)
		if f.Column != "" {
			b.WriteString("，列 " + f.Column)
		}
		fmt.Fprintf(&b, "：应为%s，实为%s", Zh.Phrase(f.Expected), Zh.Phrase(f.Got))
	}
	if n := r.Total() - int64(len(r.Faults)); n > 0 {
		fmt.Fprintf(&b, "\n  另有 %d 处", n)
	}
	return b.String()
}

func headerFault(e *enclave.HeaderFaults) string {
	header := strings.Join(e.Expected, ",")
	if e.NoHeader {
		return fmt.Sprintf("第一行不是资源 %s 的表头，未列出其任何一列：请在最前面加上这一行：%s", e.Resource, header)
	}
	var parts []string
	for _, p := range []struct {
		what  string
		names []string
	}{{"缺少", e.Missing}, {"模式中没有", e.Unknown}, {"重复", e.Duplicate}} {
		if len(p.names) > 0 {
			parts = append(parts, p.what+"："+strings.Join(p.names, "、"))
		}
	}
	return fmt.Sprintf("表头与资源 %s 不符：%s：须恰好列出以下各列，次序不限：%s", e.Resource, strings.Join(parts, "；"), header)
}

// refusal is a gateway's, in the words that it sent itself.
func refusal(e *sdk.Error) string {
	message := e.Localized["zh-CN"]
	if message == "" {
		message = Zh.Phrase(e.Message)
	}
	if e.Rule == "" {
		return fmt.Sprintf("%s：%s（%s）", Zh.Phrase(e.Op), message, e.Reason)
	}
	return fmt.Sprintf("%s：%s（%s，规则 %s）", Zh.Phrase(e.Op), message, e.Reason, Zh.Word(e.Rule))
}

// operations are what the operating system was asked for.
var operations = map[string]string{
	"open": "打开", "stat": "查看", "lstat": "查看", "read": "读取", "write": "写入", "mkdir": "新建目录", "remove": "删除",
	"rename": "改名", "link": "链接", "unlinkat": "删除", "close": "关闭", "sync": "落盘", "truncate": "截断", "chmod": "改权限",
	"createtemp": "新建临时文件", "mkdirtemp": "新建临时目录", "readdirent": "读取目录", "flock": "加锁", "fsync": "落盘",
	"listen": "监听", "dial": "连接", "bind": "绑定地址", "accept": "接受连接", "connect": "连接", "lookup": "解析域名",
}

func operation(op string) string {
	if zh, ok := operations[op]; ok {
		return zh
	}
	return op
}

func system(err error) (string, bool) {
	switch e := err.(type) {
	case *fs.PathError:
		return fmt.Sprintf("%s %s：%s", operation(e.Op), e.Path, chinese(e.Err)), true
	case *os.LinkError:
		return fmt.Sprintf("%s %s 至 %s：%s", operation(e.Op), e.Old, e.New, chinese(e.Err)), true
	case *os.SyscallError:
		return fmt.Sprintf("%s：%s", operation(e.Syscall), chinese(e.Err)), true
	case *strconv.NumError:
		return fmt.Sprintf("%q：%s", e.Num, chinese(e.Err)), true
	case *net.OpError:
		at := e.Net
		if e.Addr != nil {
			at += " " + e.Addr.String()
		}
		return fmt.Sprintf("%s %s：%s", operation(e.Op), at, chinese(e.Err)), true
	}
	return "", false
}
