"""Writes the pictures and expected inputs of tests/picture_test.cpp into the current folder (Pillow 13)."""
import numpy as np, struct, zlib
from PIL import Image
rng=np.random.default_rng(7)
def smooth(h,w,c):
    y,x=np.mgrid[0:h,0:w]
    out=np.stack([(127+80*np.sin(x/3.1+k)+40*np.cos(y/2.3+2*k)+rng.integers(-8,8,(h,w))) for k in range(c)],-1)
    return np.clip(out,0,255).astype(np.uint8)
rgb=smooth(23,37,3)
Image.fromarray(rgb).save('rgb_37x23.png',optimize=True)
Image.fromarray(rgb).save('rgb_37x23.bmp')
Image.fromarray(rgb).save('rgb_37x23.jpg',quality=92,subsampling=0)
Image.fromarray(rgb).save('progressive_37x23.jpg',quality=92,progressive=True)
Image.fromarray(smooth(30,20,1)[:,:,0]).save('grey_20x30.png',optimize=True)
Image.fromarray(smooth(30,20,1)[:,:,0]).save('grey_20x30.jpg',quality=95)
rgba=np.array([[[255,0,0,255],[255,0,0,128]],[[10,20,30,0],[0,0,255,51]]],np.uint8)
Image.fromarray(rgba).save('rgba_2x2.png')
la=np.array([[[0,255],[0,128]],[[100,0],[200,51]]],np.uint8)
Image.fromarray(la,'LA').save('grey_alpha_2x2.png')
p=Image.new('P',(2,2)); p.putpalette([255,0,0, 0,255,0, 0,0,255, 255,255,255]); p.putdata([0,1,2,3])
p.save('palette_2x2.png'); p.save('palette_transparent_2x2.png',transparency=1)
Image.fromarray(np.array([[[12,200,77]]],np.uint8)).save('one_1x1.png')
def chunk(t,d): return struct.pack('>I',len(d))+t+d+struct.pack('>I',zlib.crc32(t+d))
def png(w,h,depth,ct,raw,inter=0): return b'\x89PNG\r\n\x1a\n'+chunk(b'IHDR',struct.pack('>IIBBBBB',w,h,depth,ct,0,0,inter))+chunk(b'IDAT',zlib.compress(raw,9))+chunk(b'IEND',b'')
v16=np.array([[[0x1234,0xabcd,0xffff],[0x00ff,0x8000,0x0100]]],'>u2')
open('rgb16_2x1.png','wb').write(png(2,1,16,2,b'\0'+v16.tobytes()))
g16=np.array([[0x0080,0x7fff,0xff00]],'>u2')
open('grey16_3x1.png','wb').write(png(3,1,16,0,b'\0'+g16.tobytes()))
# interlaced: encode Adam7 by hand from grey 9x7
g=smooth(7,9,1)[:,:,0]; raw=b''
for x0,y0,dx,dy in [(0,0,8,8),(4,0,8,8),(0,4,4,8),(2,0,4,4),(0,2,2,4),(1,0,2,2),(0,1,1,2)]:
    sub=g[y0::dy,x0::dx]
    if sub.size:
        for r in sub: raw+=b'\0'+r.tobytes()
open('interlaced_9x7.png','wb').write(png(9,7,8,0,raw,1))
Image.fromarray(g).save('interlaced_9x7_plain.png')
assert (np.array(Image.open('interlaced_9x7.png'))==g).all()
b=open('rgb_37x23.png','rb').read(); open('truncated.png','wb').write(b[:len(b)*2//3])
b=open('rgb_37x23.jpg','rb').read(); open('truncated.jpg','wb').write(b[:len(b)*2//3])
b=open('rgb_37x23.bmp','rb').read(); open('truncated.bmp','wb').write(b[:len(b)*2//3])
# bomb: 1x1 header, 8 MB inflated
open('bomb_1x1.png','wb').write(png(1,1,8,0,b'\0'*8_000_000))
open('too_many_pixels.png','wb').write(png(10000,10000,8,0,b'\0'))
Image.open('rgb_37x23.jpg').save('rgb_37x23_jpeg_decoded.png')
Image.open('progressive_37x23.jpg').save('progressive_37x23_decoded.png')
# expected inputs: raw planar bytes of PIL's resize rule
def fit(im,S,resize=None):
    r=resize or S; w,h=im.size
    if w<=h: nw,nh=r,int(r*h/w)
    else: nh,nw=r,int(r*w/h)
    im=im.resize((nw,nh),Image.BILINEAR)
    t=int(round((nh-S)/2.0)); l=int(round((nw-S)/2.0))
    return im.crop((l,t,l+S,t+S))
def planar(im):
    a=np.array(im); a=a[None] if a.ndim==2 else a.transpose(2,0,1)
    return a.astype(np.uint8).tobytes()
im=Image.open('rgb_37x23.png').convert('RGB')
cases={'fit_3x8x8':fit(im,8),'fit_1x28x28':fit(im.convert('L'),28),'squash_3x10x12':im.resize((12,10),Image.BILINEAR),'imagenet_3x14x14':fit(im,14,16)}
for n,i in cases.items(): open(f'expected_{n}.bin','wb').write(planar(i))
