"""Which form of the mixer, and which attention kernel, on this GPU (bf16, batch 768)."""
import json, sys, time, statistics, torch, torch.nn.functional as F
from torch import nn
torch.manual_seed(0)
dev="cuda"; B,S,D,FI,H=768,97,512,512,8
def rms(x,dim=-1,n=None):
    v=x.float(); s=v.square().sum(dim,keepdim=True)/(n or x.shape[dim])
    return (v*torch.rsqrt(s+1e-5)).to(x.dtype)
def p(*s): return nn.Parameter(torch.randn(*s,device=dev,dtype=torch.bfloat16)/s[-1]**.5)
class Block(nn.Module):
    def __init__(s, kind, P):
        super().__init__(); s.kind,s.P=kind,P
        s.W,s.V=p(2*FI,S),p(S,FI); s.G,s.O=p(2*1536,D),p(D,1536)
    def forward(s,x):
        if s.kind=="transposed":
            t=x.transpose(1,2); g,u=F.linear(t,s.W).chunk(2,-1)
            x=F.rms_norm(t+F.linear(F.silu(g)*u,s.V),(S,),eps=1e-5).transpose(1,2)
        else:
            W=F.pad(s.W,(0,s.P-S)); V=F.pad(s.V,(0,0,0,s.P-S))
            g,u=torch.matmul(W,x).chunk(2,1)
            x=rms(x+torch.matmul(V,F.silu(g)*u),1,S)
        g,u=F.linear(x,s.G).chunk(2,-1)
        return F.rms_norm(x+F.linear(F.silu(g)*u,s.O),(D,),eps=1e-5)
def bench(f,n=10,w=3):
    for _ in range(w): f()
    torch.cuda.synchronize(); ts=[]
    for _ in range(n):
        a,b=torch.cuda.Event(enable_timing=True),torch.cuda.Event(enable_timing=True)
        a.record(); f(); b.record(); torch.cuda.synchronize(); ts.append(a.elapsed_time(b))
    return statistics.median(ts)
out={}
for kind,P in (("transposed",97),("left",97),("left",104)):
    for comp in (False,True):
        net=nn.Sequential(Block(kind,P),Block(kind,P)).to(dev)
        if comp: net.compile()
        x=torch.randn(B,P,D,device=dev,dtype=torch.bfloat16)
        def fwd():
            with torch.no_grad(): net(x)
        xg=x.clone().requires_grad_()
        def both():
            y=net(xg); y.backward(x,)
        t=time.time(); fwd(); both(); torch.cuda.synchronize(); first=time.time()-t
        out[f"{kind} {P} {'compiled' if comp else 'eager'}"]=dict(forward_ms=bench(fwd),both_ms=bench(both),first_s=first)
from torch.nn.attention import sdpa_kernel, SDPBackend
for L in (97,916):
    b=768 if L==97 else 64
    for name in ("FLASH_ATTENTION","EFFICIENT_ATTENTION","CUDNN_ATTENTION","MATH"):
        try:
            q,k,v=(torch.randn(b,8,L,64,device=dev,dtype=torch.bfloat16,requires_grad=True) for _ in range(3))
            def f():
                with sdpa_kernel([getattr(SDPBackend,name)]):
                    o=F.scaled_dot_product_attention(q,k,v); o.backward(v)
            out[f"sdpa {L} {name}"]=bench(f)
        except Exception as e: out[f"sdpa {L} {name}"]=str(e)[:80]
print(json.dumps(out,indent=1)); json.dump(out,open(sys.argv[1],"w"),indent=1)
