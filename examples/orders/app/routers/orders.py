from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database import session
from app.models import Line, Order
from app.schemas import OrderIn, OrderOut

router = APIRouter(prefix="/orders", tags=["orders"])
Database = Annotated[Session, Depends(session)]


@router.post("", status_code=201, response_model=OrderOut)
def create(wanted: OrderIn, database: Database) -> Order:
    order = Order(
        customer=wanted.customer, lines=[Line(**line.model_dump()) for line in wanted.lines]
    )
    database.add(order)
    database.commit()
    return order


@router.get("", response_model=list[OrderOut])
def newest(
    database: Database,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> Sequence[Order]:
    return database.scalars(
        select(Order).order_by(Order.id.desc()).limit(limit).offset(offset)
    ).all()


@router.get("/{number}", response_model=OrderOut)
def find(number: int, database: Database) -> Order:
    order = database.get(Order, number)
    if order is None:
        raise HTTPException(404, f"there is no order {number}")
    return order
